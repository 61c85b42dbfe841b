// A plane with equal units on both axes, in a rectangle of any shape.

import { scaleLinear } from "d3-scale";

/** @typedef {import("d3-scale").ScaleLinear<number, number>} Scale */

/**
 * Scales that show a square of the plane whole, in the middle, and more of the plane at its sides (or above and
 * below it) where the rectangle is longer.
 *
 * @param {import("./plot.js").Box} box
 * @param {readonly number[]} centre of the square @param {number} half its side
 * @returns {{x: Scale, y: Scale, unit: number}} `unit` in pixels
 */
export function planeIn({ left, right, top, bottom }, [cx, cy], half) {
  const [width, height] = [right - left, bottom - top];
  const unit = Math.min(width, height) / 2 / half;
  const [a, b] = [width / 2 / unit, height / 2 / unit];
  return {
    x: scaleLinear([cx - a, cx + a], [left, right]),
    y: scaleLinear([cy - b, cy + b], [bottom, top]),
    unit,
  };
}

/** As many ticks as there is room for. @param {Scale} scale along the horizontal axis */
export function ticksAlong(scale) {
  const [left, right] = scale.range();
  return scale.ticks(Math.min(8, Math.max(2, Math.floor((right - left) / 70))));
}

/** The square from low to high in both coordinates, as {@link planeIn} takes it. @param {number} low @param {number} high */
export const squareFrom = (low, high) => /** @type {const} */ ([[(low + high) / 2, (low + high) / 2], (high - low) / 2]);
