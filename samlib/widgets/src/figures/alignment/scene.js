// The bowl in a rectangle of a canvas: contours, both runs, the predicted two-cycle, and the arrows.

import { arrow, diamond } from "../../shared/drawing.js";
import { drawInvariantSet } from "./invariant-set.js";
import { drawPoints, drawRuns } from "./runs.js";

/** @typedef {import("./view.js").View} View */

/** Lengths of the arrows on the screen, so that both are seen where they point the same way. */
export const GRADIENT = 48;
export const EIGENVECTOR = 66;

/**
 * @typedef {object} Place a rectangle of the plane on the canvas
 * @property {number} centreX of the minimum, in pixels
 * @property {number} centreY
 * @property {number} scale pixels to a unit
 * @property {(v: number) => number} toX
 * @property {(v: number) => number} toY
 */

/**
 * @param {import("../../shared/plot.js").Box} box
 * @param {number} reach half of what the rectangle shows along its shorter side
 * @returns {Place}
 */
function placeOf(box, reach) {
  const centreX = (box.left + box.right) / 2;
  const centreY = (box.top + box.bottom) / 2;
  const scale = Math.min(box.right - box.left, box.bottom - box.top) / 2 / reach;
  return { centreX, centreY, scale, toX: (v) => centreX + scale * v, toY: (v) => centreY - scale * v };
}

/**
 * @param {View} view @param {CanvasRenderingContext2D} context
 * @param {import("../../shared/plot.js").Box} box
 * @param {number} reach half of what the rectangle shows along its shorter side
 */
export function drawScene(view, context, box, reach) {
  const { world, colours } = view;
  const { state, sam, dim, plane: [i, j] } = world; // prettier-ignore
  const place = placeOf(box, reach);
  const { toX, toY } = place;
  const [a, b] = world.curvatures();
  drawContours(context, place, cornerOf(box, place.scale), a, b, colours.faint);
  if (state.invariant && world.hasInvariantSet()) drawInvariantSet(view, context, place, a, b);
  drawRuns(view, context, toX, toY, i, j);

  // Where Theorem 4.8 says that SAM ends: on the axis of the larger curvature.
  const radius = world.radius(world.sharpness(sam.x, state.frame * dim));
  const [rx, ry] = a >= b ? [radius, 0] : [0, radius];
  const ends = Number.isFinite(radius) ? [[toX(rx), toY(ry)], [toX(-rx), toY(-ry)]] : []; // prettier-ignore
  for (const [ex, ey] of ends) diamond(context, ex, ey, 7, colours.ink);
  drawPoints(view, context, toX, toY, i, j);
  return { ...place, ends, ...drawArrows(view, context, place) };
}

/** How far the corners of a rectangle are from its centre. @param {import("../../shared/plot.js").Box} box @param {number} scale */
const cornerOf = ({ left, right, top, bottom }, scale) => Math.hypot(right - left, bottom - top) / 2 / scale;

/**
 * Where L = c there is an ellipse; c doubles from one to the next, for any magnification.
 *
 * @param {CanvasRenderingContext2D} context @param {Place} place @param {number} corner how far away it is
 * @param {number} a @param {number} b the curvatures @param {string} colour
 */
function drawContours(context, { centreX, centreY, scale }, corner, a, b, colour) {
  const widest = (2 * corner) ** 2 * Math.max(a, b);
  context.lineWidth = 1;
  context.strokeStyle = context.fillStyle = colour;
  for (let c = 2 ** Math.ceil(Math.log2(widest)), n = 0; n < 18; c /= 2, n++) {
    context.beginPath();
    context.ellipse(centreX, centreY, Math.sqrt(c / a) * scale, Math.sqrt(c / b) * scale, 0, 0, 7);
    context.globalAlpha = 0.06;
    context.fill();
    context.globalAlpha = 0.5;
    if (Math.sqrt(c / Math.max(a, b)) * scale > 3) context.stroke();
  }
  context.globalAlpha = 1;
}

/**
 * ∇L and v₁ where SAM is: unit vectors, projected into the plane; v₁ in the sense that is nearer to ∇L.
 *
 * @param {View} view @param {CanvasRenderingContext2D} context @param {Place} place
 */
function drawArrows({ world, colours }, context, { toX, toY }) {
  const { state, sam, at, dim, plane: [i, j] } = world; // prettier-ignore
  const centre = state.frame * dim;
  const x = toX(sam.x[centre + i]);
  const y = toY(sam.x[centre + j]);
  let size = 0;
  let dot = 0;
  for (let k = 0; k < dim; k++) {
    size += at.gradient[k] ** 2;
    dot += at.gradient[k] * at.eigenvector[k];
  }
  size = Math.sqrt(size);
  const sign = dot < 0 ? -1 : 1;
  const g = [at.gradient[i] / size, at.gradient[j] / size];
  const v = [sign * at.eigenvector[i], sign * at.eigenvector[j]];
  arrow(context, x, y, EIGENVECTOR * v[0], -EIGENVECTOR * v[1], colours.eigenvector, 1.75);
  arrow(context, x, y, GRADIENT * g[0], -GRADIENT * g[1], colours.ascent, 3);
  return { x, y, g, v };
}
