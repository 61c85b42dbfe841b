// The colors of the map: one for each place, the darker the later a run came there; for directions and along valleys
// a color that goes with what it stands for.

import { CELL, ELSEWHERE, LEFT, SLOPE } from "./ends.js";

/** @typedef {[number, number, number]} Colour */
/** @typedef {import("./losses.js").Loss} Loss */

/**
 * @typedef {object} Inks the colors of the style sheet
 * @property {Colour[]} minimum @property {Colour} saddle @property {Colour} maximum
 * @property {Colour} slope @property {Colour} elsewhere @property {Colour} left
 */

/** Minima have so many colors before they begin again, paler. */
const MINIMA = 4;

/** How dark the latest are: what is left of their color. */
const DARKEST = 0.42;

/** @param {Element} el @returns {Inks} */
export function inksOf(el) {
  const style = getComputedStyle(el);
  const read = (/** @type {string} */ name) => {
    const text = style.getPropertyValue(`--samlib-basin-${name}`).trim();
    return /** @type {Colour} */ ([1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  };
  return {
    minimum: Array.from({ length: MINIMA }, (_, i) => read(`minimum-${i + 1}`)),
    saddle: read("saddle"), maximum: read("maximum"), slope: read("slope"),
    elsewhere: read("elsewhere"), left: read("left"),
  }; // prettier-ignore
}

/** @param {Colour} a @param {Colour} b @param {number} part of b @returns {Colour} */
const mixed = (a, b, part) => /** @type {Colour} */ (a.map((v, i) => v + (b[i] - v) * part));

/** @type {Colour} */
const WHITE = [255, 255, 255];

/**
 * The color of a label.
 *
 * @param {Inks} inks @param {import("./losses.js").Place[]} places @param {number} label
 * @returns {Colour}
 */
export function colourOfLabel(inks, places, label) {
  if (label === SLOPE) return inks.slope;
  if (label === ELSEWHERE) return inks.elsewhere;
  if (label === LEFT) return inks.left;
  const { type } = places[label];
  const n = places.slice(0, label).filter((place) => place.type === type).length;
  if (type === "minimum") return mixed(inks.minimum[n % MINIMA], WHITE, Math.min(0.3 * Math.floor(n / MINIMA), 0.6));
  return mixed(inks[type], WHITE, Math.min(0.16 * n, 0.6));
}

/**
 * The color of a direction, by the cosine and the sine of twice its angle: four colors around the circle.
 *
 * @param {Inks} inks @param {number} c @param {number} s @returns {Colour}
 */
export function colourOfDirection({ minimum, saddle, slope }, c, s) {
  const around = [saddle, minimum[1], minimum[0], slope];
  const place = ((Math.atan2(s, c) / (2 * Math.PI) + 1) % 1) * 4;
  const k = Math.floor(place) % 4;
  return mixed(around[k], around[(k + 1) % 4], place - Math.floor(place));
}

/**
 * The color of a place along a valley: from left to right through a pale middle, at the bottom of the box in other colors
 * than at its top.
 *
 * @param {Inks} inks @param {number} a from 0 to 1 @param {number} b
 * @returns {Colour}
 */
export function colourOfPosition({ minimum, saddle, maximum }, a, b) {
  const [i, j] = [a, b].map((v) => Math.min(Math.max(v, 0), 1));
  const across = (/** @type {Colour} */ from, /** @type {Colour} */ to) =>
    i < 0.5 ? mixed(from, maximum, 2 * i) : mixed(maximum, to, 2 * i - 1);
  return mixed(across(minimum[0], saddle), across(minimum[1], minimum[2]), j);
}

/**
 * The color of every end, before it is made darker.
 *
 * @param {Inks} inks @param {Loss} loss @param {import("./figure.js").Box} box of a valley
 * @returns {(cells: Float32Array, at: number) => Colour}
 */
function colouring(inks, { kind, places, landscape }, box) {
  if (kind === "places") {
    const table = new Map();
    return (cells, at) => {
      const label = cells[at];
      if (!table.has(label)) table.set(label, colourOfLabel(inks, places, label));
      return table.get(label);
    };
  }
  return (cells, at) => {
    if (cells[at] === LEFT) return inks.left;
    if (kind === "direction") return colourOfDirection(inks, cells[at + 2], cells[at + 3]);
    return colourOfPosition(inks, ...box.part(cells[at + 2], cells[at + 3], landscape.dim));
  };
}

/**
 * The picture of a map, rows from the top.
 *
 * @param {import("./queue.js").Field} field @param {Loss} loss @param {Inks} inks @param {import("./figure.js").Box} box
 */
export function paintField({ cells, size, task }, loss, inks, box) {
  const image = new ImageData(size, size);
  const colourOf = colouring(inks, loss, box);
  const late = Float32Array.from({ length: task.steps + 1 }, (_, t) => 1 - (1 - DARKEST) * (Math.log1p(t) / Math.log1p(task.steps)) ** 2);
  for (let r = 0; r < size; r++) {
    for (let c = 0; c < size; c++) {
      const from = CELL * (r * size + c);
      const to = 4 * ((size - 1 - r) * size + c);
      const colour = colourOf(cells, from);
      const light = late[cells[from + 1]] ?? 1;
      for (let i = 0; i < 3; i++) image.data[to + i] = colour[i] * light;
      image.data[to + 3] = 255;
    }
  }
  return image;
}

/** A color for the style sheet. @param {Colour} colour */
export const css = (colour) => `rgb(${colour.map(Math.round).join(" ")})`;
