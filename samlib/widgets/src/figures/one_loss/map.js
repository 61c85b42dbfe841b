// The map of Γ: contours of one curvature, the three runs, the limiting flows, and the three destinations.

import { CURVATURES } from "../../dynamics/four-dimensional.js";
import { diamond, traceBranches } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { growingWindow } from "../../shared/growing-window.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels } from "../../shared/labels.js";
import { DASHES, colourOf, drawMark, onCanvas } from "../../shared/marks.js";
import { planeIn, squareFrom, ticksAlong } from "../../shared/plane.js";
import { createPlot } from "../../shared/plot.js";
import { createRelief } from "../../shared/relief.js";
import { DESTINATIONS, METHODS } from "./destinations.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./destinations.js").Method} Method */

/** What the map shows, unless the start lies farther out. */
const LOW = -0.25;
const HIGH = 1.25;

/** Values of λ₁ with a contour. */
const LEVELS = [16.5, 17, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36];

const px = new Float64Array(2048);
const py = new Float64Array(2048);

/** @param {View} view */
export function createDestinationMap(view) {
  const { world } = view;
  const { state } = world;
  const plot = createPlot({
    className: "samlib-picture",
    margin: { left: 38, right: 10, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  plot.name("Along Γ: contours of λ₁", "x₁", "x₂");
  const labels = createLabels(plot, METHODS);
  const handle = createHandle(view, plot, () => [0, 1], { text: "start", label: "Start of all runs" });
  const relief = createRelief(plot);
  const { context } = plot;
  const extent = growingWindow(view, LOW, HIGH);

  /** @param {(v: number) => number} x @param {(v: number) => number} y @param {Method} method */
  function drawRun(x, y, method) {
    const { colours } = view;
    const { samples } = world;
    const run = world.runs[method].x;
    for (let k = 0; k < samples.length; k++) {
      px[k] = onCanvas(x(run[4 * samples[k]]));
      py[k] = onCanvas(y(run[4 * samples[k] + 1]));
    }
    context.strokeStyle = colourOf(method, colours);
    context.lineJoin = "round";
    context.setLineDash(DASHES[method]);
    context.globalAlpha = 0.4;
    context.lineWidth = 1.5;
    traceBranches(context, px, py, samples.length);
    context.globalAlpha = 1;
    context.lineWidth = 2.25;
    traceBranches(context, px, py, world.played());
    context.setLineDash([]);
  }

  /** The limiting flow, thin, in the ink's colour, over the time of the run. @param {(v: number) => number} x @param {(v: number) => number} y @param {Method} method */
  function drawFlow(x, y, method) {
    const end = world.time(state.steps);
    context.strokeStyle = view.colours.ink;
    context.lineWidth = 1;
    context.setLineDash([1, 3]);
    context.beginPath();
    for (let k = 0; k <= 60; k++) {
      // Denser at the beginning, where the flow is quick.
      const [a, b] = world.flow(method, end * (k / 60) ** 3);
      if (Number.isFinite(a)) context.lineTo(x(a), y(b));
    }
    context.stroke();
    context.setLineDash([]);
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    plot.clear();
    const { low, high, more } = extent();
    const { x, y } = planeIn(box, ...squareFrom(low, high));
    relief.draw({
      name: "λ₁", height: CURVATURES.top_eigenvalue, levels: LEVELS, x, y, colour: colours.faint,
    }); // prettier-ignore
    for (const method of METHODS) drawRun(x, y, method);
    for (const method of METHODS) drawFlow(x, y, method);
    for (const method of METHODS) {
      const [a, b] = DESTINATIONS[method].x;
      diamond(context, x(a), y(b), 7, colourOf(method, colours));
    }
    for (const method of METHODS) {
      const at = 4 * state.frame;
      const run = world.runs[method].x;
      drawMark(context, method, x(run[at]), y(run[at + 1]), colours);
    }
    labels.put("sam", x(0), y(0) + 22, "least λ₁", "middle");
    labels.put("one_sam", x(0.8) + 11, y(1 / 7) + 18, "least trace", "middle");
    labels.put("ascent_loss_descent", x(1), y(1) - 14, "least λ_M", "middle");
    const ticks = more ? y.ticks(4) : [0, 0.5, 1];
    plot.axes(x, y, { xTicks: ticksAlong(x), yTicks: ticks, xFormat: number, yFormat: number });
    handle.show(x, y);
  }

  return { plot, handle, draw };
}
