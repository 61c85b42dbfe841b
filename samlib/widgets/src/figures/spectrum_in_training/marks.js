// What the pictures of the figure "SpectrumInTraining" share.

/** @typedef {import("./sweep.js").Run} Run */

/** What separates the right end of the axis of time from that of the panel. */
export const SLACK = 8;

/** What time is measured in: the checkpoints are equally far from each other on this scale. */
export const TIME = "step (square-root scale)";

/** Dots for a line of a prediction. */
export const DOTTED = [2, 4];

/** @type {Record<Run, string>} */
export const SHORT = { gradient_descent: "GD", sam: "SAM", one_sam: "1-SAM" };

export const ALL = /** @type {Run[]} */ (Object.keys(SHORT));

/**
 * @param {CanvasRenderingContext2D} context @param {string} colour @param {number[]} dash @param {number} width
 * @param {ArrayLike<number>} px @param {(i: number) => number} height
 */
export function drawLine(context, colour, dash, width, px, height) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.setLineDash(dash);
  context.beginPath();
  for (let i = 0; i < px.length; i++) context.lineTo(px[i], height(i));
  context.stroke();
  context.setLineDash([]);
}

/** The one run that is shown, if it is one. @param {import("./figure.js").View} view */
export function aloneIn(view) {
  const { runs } = view.now();
  return runs.length === 1 ? runs[0] : null;
}

/** The largest value of a table. @param {import("./sweep.js").Sweep} sweep @param {string} name */
export const largest = ({ tables }, name) => Array.from(tables[name].values).reduce((a, b) => Math.max(a, b), 0);
