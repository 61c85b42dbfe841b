// |cos| of the angle between the gradient and each eigenvector.

import { scaleLog } from "d3-scale";
import { drawLevels } from "../../shared/drawing.js";
import { decade } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { DASHES, withError } from "./drawing.js";
import { createPanel, drawDisc } from "./panel.js";

/** The least cosine that is shown. */
const LEAST_COSINE = 1e-4;

/** @param {import("./view.js").View} view */
export function createCosines(view) {
  const { plot, places, say } = createPanel(view, "Alignment |cos∠(∇L, v)|");
  const labels = createLabels(plot, ["random"]);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, point, network } = view;
    plot.clear();
    labels.hide("random", !point);
    if (!point) return;
    say(point.cosines[0] === null ? "∇L = 0" : withError(point.cosines[0], point.cosine_error));
    const { x, xTicks, xFormat } = places(point.cosines.length, "v");
    const y = scaleLog([LEAST_COSINE, 1], [box.bottom - 6, box.top + 8]);
    const yTicks = [1e-4, 1e-2, 1];
    drawLevels(plot, colours.line, yTicks.map(y));
    const usual = 1 / Math.sqrt(network.parameters);
    context.strokeStyle = colours.soft;
    context.lineWidth = 1.5;
    context.setLineDash(DASHES.random);
    context.beginPath();
    context.moveTo(box.left, y(usual));
    context.lineTo(box.right, y(usual));
    context.stroke();
    context.setLineDash([]);
    point.cosines.forEach((cosine, i) => {
      if (cosine === null) return;
      drawDisc(context, x(i + 1), y(Math.max(cosine, LEAST_COSINE)), i, colours);
    });
    plot.axes(x, y, { xTicks, yTicks, xFormat, yFormat: decade });
    labels.put("random", box.right - 4, y(usual) + (usual > 0.1 ? 16 : -6), "a random direction, 1/√D", "end");
  }

  return { plot, draw };
}
