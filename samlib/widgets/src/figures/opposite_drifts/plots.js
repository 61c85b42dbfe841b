// The pictures of the figure "OppositeDrifts": the floor of the valleys with λ₁ and the trace over it, and x,
// λ₁ and the trace over time.

import { scaleLinear } from "d3-scale";
import { valleyTop, valleyTrace } from "../../dynamics/engine.js";
import { number } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { DASHES, colourOf, drawMark, onCanvas } from "../../shared/marks.js";
import { createLabels, createPlot, drawGrid, onDrag } from "../../shared/plot.js";

/** @typedef {import("../../shared/frame.js").Frame<import("./figure.js").State> & {valleys: import("./figure.js").Valleys}} View */
/** @typedef {import("../../shared/plot.js").Plot} Plot */
/** @typedef {import("d3-scale").ScaleLinear<number, number>} Scale */

/** What separates the right end of the axis of time from the labels of the runs. */
const SLACK = 6;

/** The bottom of the floor's picture, where the handle stands, and its top. */
const FLOOR = { low: 1.85, handle: 2.12, high: 4.65 };

/** @param {View} view */
export function createDriftPlots(view) {
  const { valleys } = view;
  const floor = createPlot({
    className: "samlib-plane samlib-floor",
    margin: { left: 40, right: 10, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  floor.name("The floor: λ₁ and trace along x", "x", "");
  const curveNames = createLabels(floor, ["top", "trace"]);
  const handle = createHandle(view, floor, () => [0, 0], { label: "Start of all runs", along: "x" });

  const place = overTime("samlib-plane samlib-place", "Where along the floor: x", 76);
  const top = overTime("samlib-panel", "λ₁ at the nearest minimizer", 10);
  const trace = overTime("samlib-panel", "Trace at the nearest minimizer", 10);
  const ends = createLabels(place, valleys.courses.map(({ name }) => name));
  /** Bounds of x, on both of its axes; they stand still while something is dragged. */
  let reach = 3;
  let extent = [-2, 2];

  /** @param {string} className @param {string} title @param {number} right the margin */
  function overTime(className, title, right) {
    const plot = createPlot({
      className,
      margin: { left: 40, right, top: 8, bottom: 40 },
      onResize: view.redraw,
    });
    plot.svg.classList.add("samlib-scrubbed");
    plot.name(title, "step", "");
    onDrag(plot, (event) => {
      const { box, svg } = plot;
      const at = event.clientX - svg.getBoundingClientRect().left;
      const part = Math.min(Math.max((at - box.left) / (box.right - SLACK - box.left), 0), 1);
      view.pause();
      view.update({ frame: valleys.keys[Math.round(part * (valleys.keys.length - 1))] });
    });
    return plot;
  }

  /** Runs that are shown: batches of one are 1-SAM. */
  const shown = () =>
    valleys.courses.filter(({ name }) => name !== "mini-batch" || valleys.state.batch_size > 1);

  /** Those that have not left the valleys at the step shown. */
  const inside = () => shown().filter((course) => !valleys.diverged(course, valleys.state.frame));

  /** Choose the range of x, rounded so that it seldom changes. */
  function bound() {
    if (view.dragging) return;
    const { state } = valleys;
    let low = state.start[0];
    let high = low;
    for (const course of shown()) {
      for (const x of course.along) {
        if (!(Math.abs(x - state.start[0]) < 6)) continue; // one that leaves the picture
        low = Math.min(low, x);
        high = Math.max(high, x);
      }
    }
    extent = [Math.floor(2 * low - 0.4) / 2, Math.ceil(2 * high + 0.4) / 2];
    reach = Math.max(3, Math.ceil(Math.max(-low, high) + 0.3));
  }

  function drawFloor() {
    const { context, box } = floor;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { state } = valleys;
    floor.clear();
    const x = scaleLinear([-reach, reach], [box.left, box.right]);
    const y = scaleLinear([FLOOR.low, FLOOR.high], [box.bottom, box.top]);
    const start = Math.round(x(state.start[0])) + 0.5;
    context.lineWidth = 1;
    context.strokeStyle = colours.faint;
    context.beginPath();
    context.moveTo(start, y(FLOOR.handle));
    context.lineTo(start, y(valleyTrace(state.start[0])));
    context.stroke();
    for (const [height, colour] of /** @type {const} */ ([
      [valleyTop, colours.worst],
      [valleyTrace, colours.average],
    ])) {
      context.strokeStyle = colour;
      context.lineWidth = 2.5;
      context.beginPath();
      for (let px = box.left; px <= box.right; px += 2) context.lineTo(px, y(height(x.invert(px))));
      context.stroke();
    }
    for (const course of inside()) {
      const at = valleys.at(course);
      for (const height of [valleyTop, valleyTrace]) drawMark(context, course.name, x(at), y(height(at)), colours);
    }
    floor.axes(x, y, {
      xTicks: x.ticks(6), yTicks: [2.5, 3, 3.5, 4, 4.5], xFormat: number, yFormat: number,
    }); // prettier-ignore
    const end = box.right - 6;
    curveNames.put("top", end, y(valleyTop(x.invert(end))) + 20, "λ₁", "end");
    curveNames.put("trace", end, y(valleyTrace(x.invert(end))) - 10, "trace", "end");
    handle.show(x, y, { level: FLOOR.handle });
  }

  /**
   * @param {Plot} plot @param {[number, number]} domain @param {number[]} yTicks
   * @param {(x: number) => number} height what is shown of a place on the floor
   * @param {("top" | "trace")[]} flows
   */
  function drawOverTime(plot, domain, yTicks, height, flows) {
    const { context, box } = plot;
    if (box.right <= box.left) return null;
    const { colours } = view;
    const { state, keys } = valleys;
    plot.clear();
    const x = scaleLinear([0, state.steps], [box.left, box.right - SLACK]);
    const y = scaleLinear(domain, [box.bottom, box.top]);
    const clamped = (/** @type {number} */ v) => onCanvas(y(height(v)));
    const here = x(state.frame);

    drawGrid(plot, colours, y, yTicks, here);

    const trace = (/** @type {Float64Array} */ values, end = Infinity) => {
      context.beginPath();
      for (let k = 0; k < Math.min(keys.length, end); k++) {
        const py = clamped(values[k]);
        if (Number.isFinite(py)) context.lineTo(x(keys[k]), py);
      }
      context.stroke();
    };
    context.lineJoin = "round";
    for (const { name, along, lost } of shown()) {
      context.strokeStyle = colourOf(name, colours);
      context.lineWidth = 2;
      context.setLineDash(DASHES[name]);
      // Of a run that diverges, one sees how it leaves, but λ₁ means nothing any more.
      trace(along, plot === place ? lost + 1 : lost);
    }
    context.setLineDash([2, 4]);
    for (const name of flows) {
      context.strokeStyle = name === "top" ? colours.worst : colours.average;
      trace(valleys.flows[name]);
    }
    context.setLineDash([]);
    for (const course of inside()) drawMark(context, course.name, here, clamped(valleys.at(course)), colours);

    const wanted = Math.max(2, Math.min(5, Math.floor((box.right - box.left) / 70)));
    plot.axes(x, y, {
      xTicks: x.ticks(wanted).filter(Number.isInteger), yTicks, yFormat: number,
      xFormat: (t) => (t >= 1000 ? `${t / 1000}k` : String(t)),
    }); // prettier-ignore
    return clamped;
  }

  /** Name the runs at their right ends, apart from each other; those that diverge at the top. @param {(x: number) => number} height */
  function nameEnds(height) {
    const { box } = place;
    const { state } = valleys;
    const names = { "gradient-descent": "GD", sam: "SAM", "one-sam": "1-SAM", "mini-batch": `batch of ${state.batch_size}` };
    const rows = shown()
      .map(({ name, x, lost }) => ({
        name,
        text: lost < Infinity ? `${names[name]} ↗` : names[name],
        y: (lost < Infinity ? box.top : Math.min(Math.max(height(x[3 * state.steps]), box.top), box.bottom)) + 4,
      }))
      .sort((a, b) => a.y - b.y);
    for (let i = 1; i < rows.length; i++) rows[i].y = Math.max(rows[i].y, rows[i - 1].y + 15);
    for (const { name } of valleys.courses) ends.hide(name, !rows.some((row) => row.name === name));
    for (const { name, text, y } of rows) ends.put(name, box.right + 2, y, text, "start");
  }

  function draw() {
    bound();
    drawFloor();
    const ticks = scaleLinear(extent, [0, 1]).ticks(6);
    const height = drawOverTime(place, [extent[0], extent[1]], ticks, Number, ["top", "trace"]);
    if (height) nameEnds(height);
    drawOverTime(top, [2.4, 3.6], [2.5, 3, 3.5], valleyTop, ["top"]);
    drawOverTime(trace, [3.6, 4.4], [3.7, 4, 4.3], valleyTrace, ["trace"]);
  }

  return { plots: [floor, place, top, trace], handle, draw };
}
