// The critical points of a formula, as samlib/widgets/figures/basin_map/model.py finds them: by Newton's method from a grid.

import { constants } from "../../schema.js";
import { formulaLandscape } from "./tape.js";

/** @typedef {import("./losses.js").Place} Place */

const { within, side, most, reach, types } = constants.basin_map;

/**
 * Minima first, then saddles and maxima, each from left to right; none at all if one of them is flat in a direction, so
 * that there may be a whole curve of them.
 *
 * @param {import("./tape.js").Formula} formula
 * @returns {Place[]}
 */
export function criticalPoints(formula) {
  const landscape = formulaLandscape(formula);
  /** @type {number[][]} */
  const found = [];
  for (let r = 0; r < side; r++) {
    for (let c = 0; c < side; c++) {
      const part = (/** @type {number} */ k) => ((2 * k) / (side - 1) - 1) * within;
      const x = newton(landscape, part(c), part(r));
      if (x && found.every(([a, b]) => Math.hypot(a - x[0], b - x[1]) > 1e-4)) found.push(x);
    }
  }
  const named = found.map((x) => ({ x: x.map(tidy), type: typeOf(landscape, x) }));
  if (named.some(({ type }) => type === "flat")) return [];
  const order = (/** @type {{x: number[], type: string}} */ a, /** @type {{x: number[], type: string}} */ b) =>
    types.indexOf(a.type) - types.indexOf(b.type) || a.x[0] - b.x[0] || a.x[1] - b.x[1];
  return named.sort(order).slice(0, most).map(({ x, type }, _, all) => ({
    x, type: /** @type {Place["type"]} */ (type), radius: radiusOf(x, all),
  })); // prettier-ignore
}

/** To six decimals, without −0. @param {number} value */
const tidy = (value) => Math.round(value * 1e6) / 1e6 + 0;

/** @typedef {import("../../dynamics/landscapes.js").Landscape} Landscape */

/** Where Newton's method arrives from a point; null if nowhere. @param {Landscape} landscape @param {number} a @param {number} b */
function newton(landscape, a, b) {
  const x = Float64Array.of(a, b);
  const g = new Float64Array(2);
  const h = new Float64Array(4);
  for (let n = 0; n < 60; n++) {
    landscape.gradient(x, 0, g);
    landscape.hessian(x, h);
    const det = h[0] * h[3] - h[1] * h[2];
    x[0] -= (h[3] * g[0] - h[1] * g[1]) / det;
    x[1] -= (h[0] * g[1] - h[2] * g[0]) / det;
    if (!(Math.max(Math.abs(x[0]), Math.abs(x[1])) < 10 * within)) return null;
  }
  landscape.gradient(x, 0, g);
  const inside = Math.max(Math.abs(x[0]), Math.abs(x[1])) <= within;
  return inside && Math.hypot(g[0], g[1]) < 1e-9 ? [x[0], x[1]] : null;
}

/** @param {Landscape} landscape @param {number[]} x */
function typeOf(landscape, x) {
  const h = new Float64Array(4);
  landscape.hessian(Float64Array.from(x), h);
  const det = h[0] * h[3] - h[1] * h[2];
  if (!(Math.abs(det) > 1e-6 * h.reduce((sum, v) => sum + v * v, 0))) return "flat";
  if (det < 0) return "saddle";
  return h[0] + h[3] > 0 ? "minimum" : "maximum";
}

/** Half the way to the nearest of the others, and at most `reach`. @param {number[]} x @param {{x: number[]}[]} all */
const radiusOf = (x, all) =>
  Math.min(reach, ...all.filter((o) => o.x !== x).map((o) => Math.hypot(o.x[0] - x[0], o.x[1] - x[1]) / 2));
