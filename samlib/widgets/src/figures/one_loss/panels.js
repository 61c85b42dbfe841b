// Three panels over time: λ₁, λ_M and the trace at the nearest minimizer, for the three runs, and what the
// limiting flow of each predicts.

import { scaleLinear, scaleSymlog } from "d3-scale";
import { CURVATURES } from "../../dynamics/four-dimensional.js";
import { onDrag, scrubSteps } from "../../shared/drag.js";
import { drawGrid, traceBranches } from "../../shared/drawing.js";
import { number, shortCount } from "../../shared/format.js";
import { DASHES, colourOf, drawMark, onCanvas } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { METHODS } from "./destinations.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./destinations.js").Curvature} Curvature */

/** Room at the end of the time axis for the marks. */
const SLACK = 10;

/** @type {[Curvature, string, [number, number], number[]][]} title, range and ticks */
const PANELS = [
  ["top_eigenvalue", "λ₁", [15, 22], [16, 18, 20, 22]],
  ["smallest_nonzero_eigenvalue", "λ_M, the least non-zero", [1, 13], [2, 7, 12]],
  ["trace", "Trace, λ₁ + λ_M", [20.5, 29], [22, 24, 26, 28]],
];

const px = new Float64Array(2048);
const py = new Float64Array(2048);

/** @param {View} view */
export function createDestinationPanels(view) {
  const { world } = view;
  const { state } = world;
  const panels = PANELS.map(([kind, title, range, ticks]) => {
    const plot = createPlot({
      className: "samlib-panel",
      margin: { left: 34, right: 6, top: 8, bottom: 40 },
      onResize: view.redraw,
    });
    plot.name(title, "step (log scale)", "");
    onDrag(plot, (event) => scrubSteps(plot, event, SLACK, view, world));
    return { kind, plot, range, ticks };
  });

  /** @param {typeof panels[number]} panel */
  function drawPanel({ kind, plot, range, ticks }) {
    const { context, box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const curvature = CURVATURES[kind];
    plot.clear();
    const x = scaleSymlog([0, state.steps], [box.left, box.right - SLACK]);
    const top = Math.max(range[1], Math.ceil(curvature(state.start[0], state.start[1]) + 0.5));
    const y = scaleLinear([range[0], top], [box.bottom, box.top]);
    const yTicks = top > range[1] ? y.ticks(3) : ticks;
    const here = x(state.frame);
    drawGrid(plot, colours, y, yTicks, here);
    world.samples.forEach((t, k) => (px[k] = x(t)));
    drawRuns(context, (a, b) => onCanvas(y(curvature(a, b))));
    drawFlows(context, (a, b) => y(curvature(a, b)));
    for (const method of METHODS) {
      const run = world.runs[method].x;
      const at = 4 * state.frame;
      drawMark(context, method, here, y(curvature(run[at], run[at + 1])), colours);
    }
    const xTicks = [0, 10, 1000, 100_000].filter((t) => t <= state.steps);
    plot.axes(x, y, { xTicks, yTicks, xFormat: shortCount, yFormat: number });
  }

  /** @param {CanvasRenderingContext2D} context @param {(x1: number, x2: number) => number} height */
  function drawRuns(context, height) {
    const { samples, runs } = world;
    context.lineWidth = 2;
    for (const method of METHODS) {
      const run = runs[method].x;
      samples.forEach((t, k) => (py[k] = height(run[4 * t], run[4 * t + 1])));
      context.strokeStyle = colourOf(method, view.colours);
      context.setLineDash(DASHES[method]);
      traceBranches(context, px, py, samples.length);
    }
  }

  /** Each over the run that it predicts. @param {CanvasRenderingContext2D} context @param {(x1: number, x2: number) => number} height */
  function drawFlows(context, height) {
    const { samples } = world;
    context.strokeStyle = view.colours.ink;
    context.lineWidth = 1;
    context.setLineDash([1, 3]);
    for (const method of METHODS) {
      samples.forEach((t, k) => (py[k] = height(...world.flow(method, world.time(t)))));
      traceBranches(context, px, py, samples.length);
    }
    context.setLineDash([]);
  }

  return { plots: panels.map((panel) => panel.plot), draw: () => panels.forEach(drawPanel) };
}
