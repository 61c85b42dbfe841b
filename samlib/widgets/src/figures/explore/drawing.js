// How the notions are drawn, and what the pictures of the figure "Explore" are drawn of.

import { constants } from "../../schema.js";
import { number } from "../../shared/format.js";
import { paint } from "../../shared/marks.js";

/** @typedef {"worst" | "ascent" | "average"} Notion */

export const NOTIONS = /** @type {readonly Notion[]} */ (constants.notions);

/** @type {Record<Notion | "random", number[]>} */
export const DASHES = { worst: [], ascent: [7, 4], average: [8, 3, 2, 3], random: [2, 3] };

/** The mark of each notion, about a point. @type {Record<Notion, string>} */
export const MARKS = {
  worst: "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z",
  ascent: "M-4.5-4.5h9v9h-9z",
  average: "M0-6.5L6 0L0 6.5L-6 0Z",
};

/** A number with its error, unless that is zero. @param {number | null} value @param {number | null} error */
export const withError = (value, error) =>
  value === null ? "unknown" : number(value) + (error ? ` ± ${number(error, 1)}` : "");

/**
 * @param {CanvasRenderingContext2D} context @param {Notion} notion @param {number} x @param {number} y
 * @param {import("../../shared/theme.js").Palette} colours
 */
export function markNotion(context, notion, x, y, colours) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  const shape = new Path2D();
  shape.addPath(new Path2D(MARKS[notion]), new DOMMatrix([1, 0, 0, 1, x, y]));
  paint(context, shape, colours[notion], colours.plot, 1.5);
}

/**
 * A vertical bar with feet, for an error.
 *
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} low @param {number} high
 */
export function drawWhisker(context, x, low, high) {
  if (!(Math.abs(high - low) > 1)) return;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, low);
  context.lineTo(x, high);
  for (const end of [low, high]) {
    context.moveTo(x - 4, end);
    context.lineTo(x + 4, end);
  }
  context.stroke();
}

/** Straight lines from top to bottom. @param {import("../../shared/plot.js").Plot} plot @param {string} colour @param {number[]} places */
export function drawPlaces({ context, box }, colour, places) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (const place of places) {
    context.moveTo(Math.round(place) + 0.5, box.top);
    context.lineTo(Math.round(place) + 0.5, box.bottom);
  }
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context @param {(number | null)[]} values null interrupts the line
 * @param {(i: number) => number} x @param {(value: number) => number} y
 */
export function drawLine(context, values, x, y) {
  context.beginPath();
  let down = false;
  values.forEach((value, i) => {
    const height = value === null ? NaN : y(value);
    if (!Number.isFinite(height)) down = false;
    else {
      const clamped = Math.min(Math.max(height, -1e4), 1e4);
      if (down) context.lineTo(x(i), clamped);
      else context.moveTo(x(i), clamped);
      down = true;
    }
  });
  context.stroke();
}
