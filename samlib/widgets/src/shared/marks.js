// How each method is drawn, beside its colour: the dashes of its line and the shape of its mark.

/** @typedef {import("../dynamics/rules.js").Rule} Method */

/** @type {Record<Method, number[]>} */
export const DASHES = {
  gradient_descent: [6, 4], sam: [], mini_batch: [12, 4], one_sam: [8, 3, 2, 3],
  ascent_loss_descent: [6, 4],
}; // prettier-ignore

/** A position on a canvas that it still draws correctly, though it may be far outside. @param {number} px */
export const onCanvas = (px) => Math.min(Math.max(px, -1e4), 1e4);

/** The mark of a method as an SVG path. @param {Method} name @param {number} x @param {number} y */
export function shapeOf(name, x, y) {
  const from = `M${x.toFixed(1)} ${y.toFixed(1)}`;
  const square = `${from}m-4.5 -4.5h9v9h-9z`;
  return {
    gradient_descent: square,
    sam: `${from}m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z`,
    mini_batch: `${from}m0 -6.5l6 6.5l-6 6.5l-6 -6.5z`,
    one_sam: `${from}m0 -6l6 10.5h-12z`,
    ascent_loss_descent: square,
  }[name];
}

/** @param {Method} name @param {import("./theme.js").Palette} colours */
export function colourOf(name, colours) {
  if (name === "mini_batch") return colours.ink;
  return name === "ascent_loss_descent" ? colours.ascent : colours[name];
}

/**
 * Gradient descent is hollow, all others are filled.
 *
 * @param {CanvasRenderingContext2D} context @param {Method} name
 * @param {number} x @param {number} y @param {import("./theme.js").Palette} colours
 */
export function drawMark(context, name, x, y, colours) {
  if (!(Number.isFinite(x) && Number.isFinite(y))) return;
  const colour = colourOf(name, colours);
  const hollow = name === "gradient_descent";
  const [fill, edge] = hollow ? [colours.plot, colour] : [colour, colours.plot];
  paint(context, new Path2D(shapeOf(name, x, y)), fill, edge, hollow ? 2 : 1.5);
}

/**
 * Fill a shape, and draw its edge.
 *
 * @param {CanvasRenderingContext2D} context @param {Path2D} shape @param {string} fill @param {string} edge
 * @param {number} width of the edge
 */
export function paint(context, shape, fill, edge, width) {
  context.fillStyle = fill;
  context.strokeStyle = edge;
  context.lineWidth = width;
  context.fill(shape);
  context.stroke(shape);
}

/** @param {number} x @param {number} y @param {number} radius */
export function disc(x, y, radius) {
  const shape = new Path2D();
  shape.arc(x, y, radius, 0, 7);
  return shape;
}

/** @param {number} x @param {number} y @param {number} half the side */
export function square(x, y, half) {
  const shape = new Path2D();
  shape.rect(x - half, y - half, 2 * half, 2 * half);
  return shape;
}
