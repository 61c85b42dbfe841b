// What the pictures of the figure "LimitingFlow" share.

import { constants } from "../../schema.js";
import { DASHES, colourOf } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";

/** @typedef {import("./figure.js").View} View */

const { points: POINTS } = constants.limiting_flow;

/** What separates the end of an axis from the edge, so that the mark there is whole. */
export const SLACK = 8;

/** @param {View} view @param {string} title @param {string} xLabel @param {string} [className] @param {string} [yLabel] */
export function createPanel(view, title, xLabel, className = "samlib-panel", yLabel = "") {
  const plot = createPlot({
    className,
    margin: { left: 46, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name(title, xLabel, yLabel);
  return plot;
}

/** How a method is drawn. @param {number} size of the batch @returns {import("../../shared/marks.js").Method} */
export const methodOf = (size) => (size === 1 ? "one_sam" : size === POINTS ? "sam" : "mini_batch");

/** Take what a run is drawn with. @param {View} view @param {CanvasRenderingContext2D} context @param {number} size */
export function pen(view, context, size) {
  const method = methodOf(size);
  context.strokeStyle = colourOf(method, view.colours);
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.setLineDash(DASHES[method]);
  return method;
}
