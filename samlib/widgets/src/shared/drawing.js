// What pictures are drawn of: lines through points, arrows, diamonds, the grid.

import { HEAD } from "./samples.js";

/** @typedef {import("./plot.js").Plot} Plot */

/**
 * Trace sampled points: the first ones joined one to the next, then each branch of the two-cycle by
 * itself. Points that are not finite interrupt the line.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {ArrayLike<number>} px @param {ArrayLike<number>} py positions in pixels
 * @param {number} count how many samples
 */
export function traceBranches(context, px, py, count) {
  context.beginPath();
  traceLine(context, px, py, 0, Math.min(count, HEAD), 1);
  traceLine(context, px, py, HEAD - 2, count, 2);
  traceLine(context, px, py, HEAD - 1, count, 2);
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context @param {ArrayLike<number>} px
 * @param {ArrayLike<number>} py @param {number} from @param {number} to @param {number} stride
 */
function traceLine(context, px, py, from, to, stride) {
  let down = false;
  for (let i = from; i < to; i += stride) {
    const x = px[i];
    const y = py[i];
    if (!(Number.isFinite(x) && Number.isFinite(y))) {
      down = false;
      continue;
    }
    if (down) context.lineTo(x, y);
    else context.moveTo(x, y);
    down = true;
  }
}

/**
 * An arrow from (x, y) by (dx, dy).
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} x @param {number} y @param {number} dx @param {number} dy
 * @param {string} colour @param {number} weight
 */
export function arrow(context, x, y, dx, dy, colour, weight) {
  const length = Math.hypot(dx, dy);
  if (!(length > 0.5)) return;
  const head = Math.min(4 + 2.2 * weight, length);
  const ux = dx / length;
  const uy = dy / length;
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = weight;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + dx - ux * head * 0.8, y + dy - uy * head * 0.8);
  context.stroke();
  context.beginPath();
  context.moveTo(x + dx, y + dy);
  context.lineTo(x + dx - ux * head - uy * head * 0.5, y + dy - uy * head + ux * head * 0.5);
  context.lineTo(x + dx - ux * head + uy * head * 0.5, y + dy - uy * head - ux * head * 0.5);
  context.closePath();
  context.fill();
}

/**
 * A diamond, the mark of a prediction.
 *
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y
 * @param {number} size @param {string} colour
 */
export function diamond(context, x, y, size, colour) {
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.closePath();
  context.strokeStyle = colour;
  context.lineWidth = 1.75;
  context.setLineDash([]);
  context.stroke();
}

/** Straight lines across. @param {Plot} plot @param {string} colour @param {number[]} heights */
export function drawLevels({ context, box }, colour, heights) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (const height of heights) {
    context.moveTo(box.left, Math.round(height) + 0.5);
    context.lineTo(box.right, Math.round(height) + 0.5);
  }
  context.stroke();
}

/**
 * Horizontal lines at the ticks, and a vertical one at the step shown.
 *
 * @param {Plot} plot @param {import("./theme.js").Palette} colours @param {(value: number) => number} y
 * @param {number[]} yTicks @param {number} here in pixels
 */
export function drawGrid(plot, colours, y, yTicks, here) {
  const { context, box } = plot;
  drawLevels(plot, colours.line, yTicks.map((tick) => y(tick)));
  context.strokeStyle = colours.soft;
  context.beginPath();
  context.moveTo(here, box.top);
  context.lineTo(here, box.bottom);
  context.stroke();
}
