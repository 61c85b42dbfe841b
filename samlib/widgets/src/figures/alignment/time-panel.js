// A panel over time, with a logarithmic axis of steps.

import { scaleSymlog } from "d3-scale";
import { onDrag, scrubSteps } from "../../shared/drag.js";
import { drawGrid, traceBranches } from "../../shared/drawing.js";
import { shortCount } from "../../shared/format.js";
import { createPlot } from "../../shared/plot.js";

/** What separates the right end of the axis from that of the panel, so that marks are whole. */
export const SLACK = 6;

/** Pixel positions of samples; reused, and long enough for any run. */
export const px = new Float64Array(2048);
const py = new Float64Array(2048);

/** @param {import("./view.js").View} view @param {string} title @param {string} [className] */
export function createTimePanel(view, title, className = "") {
  const { world } = view;
  const plot = createPlot({
    className: `samlib-panel ${className}`,
    margin: { left: 46, right: 6, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name(title, "step (log scale)", "");
  onDrag(plot, (event) => scrubSteps(plot, event, SLACK, view, world));

  /**
   * Grid, axes and the step shown.
   *
   * @param {any} y the vertical scale, without its range
   * @param {number[]} yTicks @param {(value: number) => string} yFormat
   */
  function prepare(y, yTicks, yFormat) {
    const { box } = plot;
    const { samples, state } = world;
    plot.clear();
    const x = scaleSymlog([0, state.steps], [box.left, box.right - SLACK]);
    y.range([box.bottom, box.top]);
    const floor = box.bottom + 20;
    const height = (/** @type {number} */ v) => (v > 0 ? Math.min(y(v), floor) : v === 0 ? floor : NaN);
    for (let k = 0; k < samples.length; k++) px[k] = x(samples[k]);
    const here = x(state.frame);
    drawGrid(plot, view.colours, y, yTicks, here);
    plot.axes(x, y, { xTicks: stepTicks(state.steps, x), yTicks, xFormat: shortCount, yFormat });
    return { here, height };
  }

  /**
   * @param {Float64Array} values @param {(value: number) => number} height
   * @param {string} colour @param {number[]} dash @param {number} [width]
   */
  function line(values, height, colour, dash, width = 2) {
    const { context } = plot;
    const { samples } = world;
    for (let k = 0; k < samples.length; k++) py[k] = height(values[k]);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    traceBranches(context, px, py, samples.length);
    context.setLineDash([]);
  }

  return { plot, prepare, line };
}

/** Those of the powers of ten whose labels do not touch. @param {number} steps @param {(t: number) => number} x */
function stepTicks(steps, x) {
  /** @type {number[]} */
  const ticks = [];
  for (const t of [0, 1, 10, 100, 1000, 10_000, 100_000]) {
    const last = ticks.at(-1);
    if (t <= steps && (last === undefined || x(t) - x(last) > 30)) ticks.push(t);
  }
  return ticks;
}
