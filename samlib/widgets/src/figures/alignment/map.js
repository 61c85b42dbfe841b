// The map of Γ for the four-dimensional loss: where along the minimizers the runs are, over λ₁.

import { CURVATURES, factor1, factor2 } from "../../dynamics/four-dimensional.js";
import { diamond } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { growingWindow } from "../../shared/growing-window.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels } from "../../shared/labels.js";
import { planeIn, squareFrom, ticksAlong } from "../../shared/plane.js";
import { createPlot } from "../../shared/plot.js";
import { createRelief } from "../../shared/relief.js";
import { drawPoints, drawRuns } from "./runs.js";

/** Values of λ₁ with a contour, and those with a label. */
const LEVELS = [16.5, 17, 18, 20, 22, 24, 26, 28, 30, 32, 34];
const LABELLED = [18, 20, 24, 28];

/** The part of Γ with the minimizers of all three notions of sharpness, (0, 0) to (1, 1). */
const LOW = -0.35;
const HIGH = 1.15;

/** @param {import("./view.js").View} view */
export function createMap(view) {
  const { world } = view;
  const plot = createPlot({
    className: "samlib-picture samlib-map",
    margin: { left: 38, right: 10, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  plot.name("Along Γ: contours of λ₁", "x₁", "x₂");
  const labels = createLabels(plot, [...LABELLED.map(String), "least λ₁"]);
  const handle = createHandle(view, plot, () => [0, 1]);
  const relief = createRelief(plot);
  const { context } = plot;
  const extent = growingWindow(view, LOW, HIGH);

  function draw() {
    const { box } = plot;
    if (world.flat || box.right <= box.left) return;
    const { colours } = view;
    plot.clear();
    const { low, high, more } = extent();
    const { x, y } = planeIn(box, ...squareFrom(low, high));
    relief.draw({
      name: "λ₁", height: CURVATURES.top_eigenvalue, levels: LEVELS, x, y, colour: colours.worst,
    }); // prettier-ignore
    drawFlow(x, y);
    drawRuns(view, context, x, y, 0, 1);
    diamond(context, x(0), y(0), 7, colours.ink);
    drawPoints(view, context, x, y, 0, 1);
    const ticks = more ? y.ticks(4) : [0, 0.5, 1];
    plot.axes(x, y, { xTicks: ticksAlong(x), yTicks: ticks, xFormat: number, yFormat: number });
    labelContours(x, y, low + 0.1 * (high - low), more > 0);
    labels.put("least λ₁", x(0), y(0) + 22, "least λ₁: 16", "middle");
    handle.show(x, y);
  }

  /**
   * The limiting flow of Theorem 4.5 from where gradient descent arrives: dX/dτ = −∇F₁ while F₁ > F₂, along
   * x₂ ∝ x₁⁶.
   *
   * @param {(v: number) => number} x @param {(v: number) => number} y
   */
  function drawFlow(x, y) {
    const { state, descent, dim } = world;
    const end = state.steps * dim;
    context.strokeStyle = view.colours.worst;
    context.lineWidth = 2;
    context.setLineDash([2, 4]);
    context.beginPath();
    for (let s = 1; s > -0.001; s -= 0.02) {
      const a = descent.x[end] * s;
      const b = descent.x[end + 1] * s ** 6;
      if (factor2(a, b) >= factor1(a, b)) break;
      context.lineTo(x(a), y(b));
    }
    context.stroke();
    context.setLineDash([]);
  }

  /** @param {(v: number) => number} x @param {(v: number) => number} y @param {number} a where along x₁ @param {boolean} hidden */
  function labelContours(x, y, a, hidden) {
    for (const level of LABELLED) {
      const b = Math.sqrt((level / 2 - 8 - a * a) / 6);
      labels.hide(String(level), hidden);
      if (hidden) continue;
      labels.put(String(level), x(a), y(b) + 4, level === 18 ? "λ₁ = 18" : String(level), "middle");
    }
  }

  return { plot, handle, draw };
}
