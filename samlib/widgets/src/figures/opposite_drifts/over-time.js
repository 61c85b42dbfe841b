// A picture of the runs over time.

import { scaleLinear } from "d3-scale";
import { onDrag, partAcross } from "../../shared/drag.js";
import { drawGrid } from "../../shared/drawing.js";
import { number, shortCount } from "../../shared/format.js";
import { DASHES, colourOf, drawMark, onCanvas } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";

/** What separates the right end of the axis of time from the labels of the runs. */
const SLACK = 6;

/**
 * @typedef {object} Subject what is shown of the runs
 * @property {[number, number]} domain
 * @property {number[]} ticks
 * @property {(x: number) => number} height of a place on the floor
 * @property {("top_eigenvalue" | "trace")[]} flows
 * @property {boolean} [leaving] is it seen how a run that diverges leaves? λ₁ means nothing any more then
 */

/**
 * @param {import("./figure.js").View} view @param {import("./plots.js").Shown} shown
 * @param {string} className @param {string} title @param {number} right the margin
 */
export function createOverTime(view, shown, className, title, right) {
  const { valleys } = view;
  const plot = createPlot({ className, margin: { left: 40, right, top: 8, bottom: 40 }, onResize: view.redraw });
  plot.svg.classList.add("samlib-scrubbed");
  plot.name(title, "step", "");
  onDrag(plot, (event) => {
    const { keys } = valleys;
    view.pause();
    view.update({ frame: keys[Math.round(partAcross(plot, event, SLACK) * (keys.length - 1))] });
  });
  const { context } = plot;

  /**
   * @param {Subject} subject
   * @returns {((x: number) => number) | null} a place on the floor → pixels
   */
  function draw({ domain, ticks, height, flows, leaving = false }) {
    const { box } = plot;
    if (box.right <= box.left) return null;
    const { colours } = view;
    const { state } = valleys;
    plot.clear();
    const x = scaleLinear([0, state.steps], [box.left, box.right - SLACK]);
    const y = scaleLinear(domain, [box.bottom, box.top]);
    const clamped = (/** @type {number} */ v) => onCanvas(y(height(v)));
    const here = x(state.frame);
    drawGrid(plot, colours, y, ticks, here);
    context.lineJoin = "round";
    for (const { name, along, lost } of shown.courses()) {
      context.strokeStyle = colourOf(name, colours);
      context.lineWidth = 2;
      context.setLineDash(DASHES[name]);
      trace(along, x, clamped, leaving ? lost + 1 : lost);
    }
    context.setLineDash([2, 4]);
    for (const name of flows) {
      context.strokeStyle = name === "top_eigenvalue" ? colours.worst : colours.average;
      trace(valleys.flows[name], x, clamped, Infinity);
    }
    context.setLineDash([]);
    for (const course of shown.inside()) drawMark(context, course.name, here, clamped(valleys.at(course)), colours);
    const wanted = Math.max(2, Math.min(5, Math.floor((box.right - box.left) / 70)));
    plot.axes(x, y, {
      xTicks: x.ticks(wanted).filter(Number.isInteger), yTicks: ticks, yFormat: number, xFormat: shortCount,
    }); // prettier-ignore
    return clamped;
  }

  /**
   * @param {Float64Array} values at the key steps @param {(t: number) => number} x @param {(v: number) => number} y
   * @param {number} end how many of them
   */
  function trace(values, x, y, end) {
    const { keys } = valleys;
    context.beginPath();
    for (let k = 0; k < Math.min(keys.length, end); k++) {
      const py = y(values[k]);
      if (Number.isFinite(py)) context.lineTo(x(keys[k]), py);
    }
    context.stroke();
  }

  return { plot, draw };
}
