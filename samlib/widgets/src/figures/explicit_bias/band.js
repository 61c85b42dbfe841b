// The band of S^Asc: hatched, with the sides from which it is reached.

import { approachFrom } from "../../dynamics/limiting-regularizers.js";
import { number } from "../../shared/format.js";

/** @typedef {import("./view.js").View} View */

/** The height of a bar. */
export const BAR = 16;

/** Sides from which S^Asc gets a tick, in degrees. */
const SIDES = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90];

/**
 * @param {CanvasRenderingContext2D} context @param {number} y its top @param {number} from @param {number} to
 * @param {string} colour @param {number} alpha
 */
export function bar(context, y, from, to, colour, alpha) {
  context.globalAlpha = alpha;
  context.fillStyle = colour;
  context.fillRect(from, y, to - from, BAR);
  context.globalAlpha = 1;
}

/**
 * @param {View} view @param {import("../../shared/plot.js").Plot} plot
 * @param {ReturnType<typeof import("../../shared/labels.js").createLabels>} labels
 * @param {(value: number) => number} x @param {number} y its top
 */
export function drawBand(view, plot, labels, x, y) {
  const { context, box } = plot;
  const { here, from } = view;
  const [a, b] = [x(here.ascent), x(here.worst)];
  hatch(view, context, a, b, y);
  markSides(view, context, x, y);
  context.fillStyle = view.colours.ascent;
  context.fillRect(a - 2, y - 3, 4, BAR + 6); // the liminf
  const at = x(from.value);
  markChosen(view, context, at, y);
  // Their names below, side by side where the marks are close.
  const name = Math.max(a - 8, box.left + 36);
  labels.put("liminf", name, y + BAR + 19, "liminf", "end");
  const text = `from x′: ${number(from.value)}`;
  const half = 3.4 * text.length;
  labels.put("side", Math.min(Math.max(at, name + 8 + half), box.right - half), y + BAR + 19, text, "middle");
}

/** @param {View} view @param {CanvasRenderingContext2D} context @param {number} a @param {number} b @param {number} y */
function hatch({ colours }, context, a, b, y) {
  context.save();
  context.beginPath();
  context.rect(a, y, b - a, BAR);
  context.clip();
  bar(context, y, a, b, colours.ascent, 0.15);
  context.strokeStyle = colours.ascent;
  context.lineWidth = 1.25;
  context.beginPath();
  for (let h = a - BAR; h < b; h += 7) {
    context.moveTo(h, y + BAR);
    context.lineTo(h + BAR, y);
  }
  context.stroke();
  context.restore();
  context.strokeStyle = colours.ascent;
  context.lineWidth = 1.5;
  context.strokeRect(a, y, b - a, BAR);
}

/** Ticks below the band. @param {View} view @param {CanvasRenderingContext2D} context @param {(value: number) => number} x @param {number} y */
function markSides({ state, colours }, context, x, y) {
  context.strokeStyle = colours.ascent;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const side of SIDES) {
    const at = x(approachFrom(state.point[0], state.point[1], side).value);
    context.moveTo(at, y + BAR);
    context.lineTo(at, y + BAR + 6);
  }
  context.stroke();
}

/** What x′ picks of the band. @param {View} view @param {CanvasRenderingContext2D} context @param {number} at @param {number} y */
function markChosen({ colours }, context, at, y) {
  for (const [colour, width] of /** @type {const} */ ([[colours.plot, 6], [colours.ink, 2.5]])) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(at, y - 4);
    context.lineTo(at, y + BAR + 4);
    context.stroke();
  } // prettier-ignore
}
