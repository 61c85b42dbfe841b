// Both runs as lines and points, in any two coordinates.

import { traceBranches } from "../../shared/drawing.js";
import { disc, paint, square } from "../../shared/marks.js";
import { HEAD } from "../../shared/samples.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {(value: number) => number} Scale */

/** Pixels, that a canvas still draws correctly. */
const FAR = 1e5;

/** Pixel positions of samples; reused, and long enough for any run. */
const px = new Float64Array(2048);
const py = new Float64Array(2048);

/**
 * Draw both runs in coordinates i and j, the future faint and the past strong.
 *
 * @param {View} view @param {CanvasRenderingContext2D} context @param {Scale} toX @param {Scale} toY
 * @param {number} i @param {number} j
 */
export function drawRuns({ world, colours }, context, toX, toY, i, j) {
  const { samples, dim, sam, descent } = world;
  const played = world.played();
  for (const [series, colour, dash] of /** @type {const} */ ([
    [descent, colours.gradient_descent, [6, 4]],
    [sam, colours.sam, []],
  ])) {
    for (let k = 0; k < samples.length; k++) {
      const at = samples[k] * dim;
      const x = toX(series.x[at + i]);
      const y = toY(series.x[at + j]);
      px[k] = x > FAR ? FAR : x < -FAR ? -FAR : x;
      py[k] = y > FAR ? FAR : y < -FAR ? -FAR : y;
    }
    context.strokeStyle = context.fillStyle = colour;
    context.lineJoin = "round";
    context.setLineDash([...dash]);
    context.lineWidth = 1.5;
    context.globalAlpha = 0.4;
    traceBranches(context, px, py, samples.length);
    context.globalAlpha = 1;
    context.lineWidth = 2;
    traceBranches(context, px, py, played);
    context.setLineDash([]);
    if (series === sam) drawIterates(context, samples.length, played);
  }
}

/**
 * The iterates of SAM themselves, as long as they are apart.
 *
 * @param {CanvasRenderingContext2D} context @param {number} total @param {number} played
 */
function drawIterates(context, total, played) {
  let lastX = NaN;
  let lastY = NaN;
  for (let k = 0; k < Math.min(total, HEAD); k++) {
    if (Math.abs(px[k] - lastX) + Math.abs(py[k] - lastY) < 5) continue;
    lastX = px[k];
    lastY = py[k];
    context.globalAlpha = k < played ? 1 : 0.45;
    context.beginPath();
    context.arc(lastX, lastY, 2.5, 0, 7);
    context.fill();
  }
  context.globalAlpha = 1;
}

/**
 * Both current points: SAM a disc, with a ring where its next step lands; gradient descent a square.
 *
 * @param {View} view @param {CanvasRenderingContext2D} context @param {Scale} toX @param {Scale} toY
 * @param {number} i @param {number} j
 */
export function drawPoints({ world, colours }, context, toX, toY, i, j) {
  const { state, dim, sam, descent } = world;
  const at = state.frame * dim;
  markDescent(context, toX(descent.x[at + i]), toY(descent.x[at + j]), colours);
  if (state.frame < state.steps) {
    context.strokeStyle = colours.sam;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(toX(sam.x[at + dim + i]), toY(sam.x[at + dim + j]), 4.5, 0, 7);
    context.stroke();
  }
  markSam(context, toX(sam.x[at + i]), toY(sam.x[at + j]), colours);
}

/**
 * The mark of gradient descent.
 *
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y
 * @param {import("../../shared/theme.js").Palette} colours
 */
export const markDescent = (context, x, y, colours) =>
  paint(context, square(x, y, 4.5), colours.plot, colours.gradient_descent, 2);

/**
 * The mark of SAM.
 *
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y
 * @param {import("../../shared/theme.js").Palette} colours @param {number} [radius]
 */
export const markSam = (context, x, y, colours, radius = 6) =>
  paint(context, disc(x, y, radius), colours.sam, colours.plot, 1.5);
