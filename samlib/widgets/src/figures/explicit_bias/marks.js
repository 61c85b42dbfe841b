// The marks of the points that each notion prefers.

/** @typedef {import("../../dynamics/limiting-regularizers.js").Notion} Notion */

/** The mark of each notion, about a point. @type {Record<Notion, string>} */
export const MARKS = {
  worst: "M0-7L7 0L0 7L-7 0Z",
  ascent: "M0-7L7 6H-7Z",
  average: "M-2.5-7h5v4.5h4.5v5h-4.5v4.5h-5v-4.5h-4.5v-5h4.5z",
};

/**
 * @param {CanvasRenderingContext2D} context @param {Notion} notion @param {number} x @param {number} y
 * @param {import("../../shared/theme.js").Palette} colours @param {boolean} [chosen] filled, and larger?
 */
export function drawPreferred(context, notion, x, y, colours, chosen = false) {
  const shape = new Path2D(MARKS[notion]);
  const size = chosen ? 1.3 : 0.9;
  context.save();
  context.translate(x, y);
  context.scale(size, size);
  context.lineJoin = "round";
  context.strokeStyle = colours.plot;
  context.lineWidth = 5 / size;
  context.stroke(shape);
  context.fillStyle = chosen ? colours[notion] : colours.plot;
  context.strokeStyle = colours[notion];
  context.lineWidth = 2 / size;
  context.fill(shape);
  context.stroke(shape);
  context.restore();
}
