// The training loss along the top eigenvector of the rescaled network, over that of the network as it was trained.

import { scaleLinear } from "d3-scale";
import { drawLevels } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { onCanvas } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { DISTANCES } from "./world.js";

/** The highest loss that is shown. */
const HIGH = 3;

const REACH = DISTANCES[DISTANCES.length - 1];

/** @param {import("./figure.js").View} view */
export function createProfile(view) {
  const { world } = view;
  const plot = createPlot({
    className: "samlib-picture samlib-rescaling-profile",
    margin: { left: 26, right: 8, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("Training loss along the top eigenvector", "distance from the network", "");
  const labels = createLabels(plot, ["trained"]);

  /** @param {ArrayLike<number>} values @param {(t: number) => number} x @param {(loss: number) => number} y */
  function trace(values, x, y) {
    const { context } = plot;
    context.beginPath();
    DISTANCES.forEach((t, k) => context.lineTo(x(t), onCanvas(y(values[k]))));
  }

  function draw() {
    const { box, context } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    plot.clear();
    const x = scaleLinear([-REACH, REACH], [box.left, box.right]);
    const y = scaleLinear([0, HIGH], [box.bottom, box.top]);
    drawLevels(plot, colours.line, [1, 2, 3].map((loss) => y(loss)));
    trace(world.opening.profile, x, y);
    context.strokeStyle = colours.faint;
    context.lineWidth = 1.5;
    context.setLineDash([6, 4]);
    context.stroke();
    context.setLineDash([]);
    trace(world.now.profile, x, y);
    context.strokeStyle = colours.worst;
    context.lineWidth = 3.5;
    context.lineJoin = "round";
    context.stroke();
    context.lineTo(box.right, box.top - 20);
    context.lineTo(box.left, box.top - 20);
    context.globalAlpha = 0.08;
    context.fillStyle = colours.worst;
    context.fill();
    context.globalAlpha = 1;
    labels.hide("trained", world.now === world.opening);
    const k = DISTANCES.findIndex((t) => t > 0.8 * REACH);
    labels.put("trained", x(DISTANCES[k]) - 10, y(world.opening.profile[k]), "α = 1", "end");
    plot.axes(x, y, { xTicks: [-1, -0.5, 0, 0.5, 1], yTicks: [0, 1, 2, 3], xFormat: number, yFormat: number });
  }

  return { plot, draw };
}
