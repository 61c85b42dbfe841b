// How each method is drawn, beside its colour: the dashes of its line and the shape of its mark.

/** @typedef {"gradient-descent" | "sam" | "mini-batch" | "one-sam" | "ascent"} Method */

/** @type {Record<Method, number[]>} */
export const DASHES = {
  "gradient-descent": [6, 4], sam: [], "mini-batch": [12, 4], "one-sam": [8, 3, 2, 3], ascent: [6, 4],
}; // prettier-ignore

/** A position on a canvas that it still draws correctly, though it may be far outside. @param {number} px */
export const onCanvas = (px) => Math.min(Math.max(px, -1e4), 1e4);

/** The mark of a method as an SVG path. @param {Method} name @param {number} x @param {number} y */
export function shapeOf(name, x, y) {
  const from = `M${x.toFixed(1)} ${y.toFixed(1)}`;
  const square = `${from}m-4.5 -4.5h9v9h-9z`;
  return {
    "gradient-descent": square,
    sam: `${from}m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z`,
    "mini-batch": `${from}m0 -6.5l6 6.5l-6 6.5l-6 -6.5z`,
    "one-sam": `${from}m0 -6l6 10.5h-12z`,
    ascent: square,
  }[name];
}

/** @param {Method} name @param {import("./theme.js").Palette} colours */
export const colourOf = (name, colours) => (name === "mini-batch" ? colours.ink : colours[name]);

/**
 * Gradient descent is hollow, all others are filled.
 *
 * @param {CanvasRenderingContext2D} context @param {Method} name
 * @param {number} x @param {number} y @param {import("./theme.js").Palette} colours
 */
export function drawMark(context, name, x, y, colours) {
  if (!(Number.isFinite(x) && Number.isFinite(y))) return;
  const path = new Path2D(shapeOf(name, x, y));
  const hollow = name === "gradient-descent";
  context.lineWidth = hollow ? 2 : 1.5;
  context.fillStyle = hollow ? colours.plot : colourOf(name, colours);
  context.strokeStyle = hollow ? colourOf(name, colours) : colours.plot;
  context.fill(path);
  context.stroke(path);
}
