// Three panels over time: λ₁, λ_M and the trace at the nearest minimizer, for the three runs, and what the
// limiting flow of each predicts.

import { scaleLinear, scaleSymlog } from "d3-scale";
import { CURVATURES, DESCENDS, METHODS } from "./destinations.js";
import { number } from "../../shared/format.js";
import { DASHES, drawMark, onCanvas } from "../../shared/marks.js";
import { createPlot, drawGrid, onDrag, traceBranches } from "../../shared/plot.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./destinations.js").Curvature} Curvature */

/** Room at the end of the time axis for the marks. */
const SLACK = 10;

/** @type {[Curvature, string, [number, number], number[]][]} title, range and ticks */
const PANELS = [
  ["top", "λ₁", [15, 22], [16, 18, 20, 22]],
  ["least", "λ_M, the least non-zero", [1, 13], [2, 7, 12]],
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
    onDrag(plot, (event) => scrub(plot, event));
    return { kind, plot, range, ticks };
  });

  /** Show the step that is pointed at. @param {import("../../shared/plot.js").Plot} plot @param {PointerEvent} event */
  function scrub({ box, svg }, event) {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const part = Math.min(Math.max((at - box.left) / (box.right - SLACK - box.left), 0), 1);
    const t = Math.expm1(part * Math.log1p(state.steps));
    view.pause();
    view.update({ frame: world.keys.reduce((a, b) => (Math.abs(b - t) < Math.abs(a - t) ? b : a)) });
  }

  /** @param {typeof panels[number]} panel */
  function drawPanel({ kind, plot, range, ticks }) {
    const { context, box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { samples } = world;
    plot.clear();
    const x = scaleSymlog([0, state.steps], [box.left, box.right - SLACK]);
    const first = CURVATURES[kind](state.start[0], state.start[1]);
    const top = Math.max(range[1], Math.ceil(first + 0.5));
    const y = scaleLinear([range[0], top], [box.bottom, box.top]);
    const yTicks = top > range[1] ? y.ticks(3) : ticks;
    const here = x(state.frame);
    drawGrid(plot, colours, y, yTicks, here);

    for (let k = 0; k < samples.length; k++) px[k] = x(samples[k]);
    context.lineWidth = 2;
    for (const method of METHODS) {
      const run = world.runs[method].x;
      for (let k = 0; k < samples.length; k++) {
        py[k] = onCanvas(y(CURVATURES[kind](run[4 * samples[k]], run[4 * samples[k] + 1])));
      }
      context.strokeStyle = colours[method];
      context.setLineDash(DASHES[method]);
      traceBranches(context, px, py, samples.length);
    }
    // The flows: each over the run that it predicts.
    context.strokeStyle = colours.ink;
    context.lineWidth = 1;
    context.setLineDash([1, 3]);
    for (const method of METHODS) {
      for (let k = 0; k < samples.length; k++) {
        const [a, b] = world.flow(DESCENDS[method], world.time(samples[k]));
        py[k] = y(CURVATURES[kind](a, b));
      }
      traceBranches(context, px, py, samples.length);
    }
    context.setLineDash([]);
    for (const method of METHODS) {
      const run = world.runs[method].x;
      const at = 4 * state.frame;
      drawMark(context, method, here, y(CURVATURES[kind](run[at], run[at + 1])), colours);
    }
    /** @type {number[]} */
    const xTicks = [];
    for (const t of [0, 10, 1000, 100_000]) if (t <= state.steps) xTicks.push(t);
    const xFormat = (/** @type {number} */ t) => (t >= 1000 ? `${t / 1000}k` : String(t));
    plot.axes(x, y, { xTicks, yTicks, xFormat, yFormat: number });
  }

  return { plots: panels.map((panel) => panel.plot), draw: () => panels.forEach(drawPanel) };
}
