// Affine maps of the plane, as SVG writes them: (x, y) ↦ (ax + cy + e, bx + dy + f).

/** @typedef {readonly [a: number, b: number, c: number, d: number, e: number, f: number]} Matrix */

/** @type {Matrix} */
export const IDENTITY = [1, 0, 0, 1, 0, 0];

/** First the second, then the first. @param {Matrix} m @param {Matrix} n @returns {Matrix} */
export const times = ([a, b, c, d, e, f], [g, h, i, j, k, l]) =>
  [a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * l + e, b * k + d * l + f]; // prettier-ignore

/** @param {Matrix} m @param {number} x @param {number} y @returns {[number, number]} */
export const apply = ([a, b, c, d, e, f], x, y) => [a * x + c * y + e, b * x + d * y + f];

/** By how much lengths grow; figures magnify both directions alike. @param {Matrix} m */
export const scaleOf = ([a, b, c, d]) => Math.sqrt(Math.abs(a * d - b * c));

/** By how much directions turn, in radians. @param {Matrix} m */
export const turnOf = ([a, b]) => Math.atan2(b, a);

/** The attribute; undefined where it would do nothing. @param {Matrix} m */
export function transformOf(m) {
  if (m.every((v, i) => Math.abs(v - IDENTITY[i]) < 1e-9)) return undefined;
  return `matrix(${m.map((v) => Number(v.toPrecision(9))).join(" ")})`;
}
