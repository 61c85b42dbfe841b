// The three notions of sharpness at a point of a two-dimensional loss, exactly.
//
// On the losses of this figure the largest value in a ball lies on its boundary, so the worst direction
// is found on the circle of radius ρ. Along it L is a trigonometric polynomial of degree 4 at most:
// the mean over equally spaced points is exact, and a dense look finds every local maximum.

import { topEigenpair } from "../../dynamics/eigen.js";

/** Points on the circle for the profile and the mean, and to begin the search. */
export const AROUND = 360;

export const KINDS = /** @type {const} */ (["worst", "ascent", "average"]);

/**
 * @typedef {object} Notion one of the three
 * @property {number} sharpness R_ρ
 * @property {number} predicted its second-order Taylor prediction
 * @property {number} angle of the direction, in radians; NaN for the average
 */

/**
 * @typedef {object} Notions
 * @property {Notion} worst
 * @property {Notion} ascent
 * @property {Notion} average
 * @property {number} loss L(x)
 * @property {number} slope ‖∇L(x)‖
 * @property {[number, number]} eigenvalues of ∇²L(x), the larger one first
 * @property {Float64Array} profile L(x + ρu) − L(x) at AROUND angles
 * @property {Float64Array} model its second-order Taylor polynomial
 * @property {boolean} tie is the opposite direction as bad as the worst one?
 */

/**
 * @param {import("../../dynamics/landscapes.js").Landscape} landscape of dimension two
 * @param {number[]} x
 * @param {number} rho
 * @returns {Notions}
 */
export function notions(landscape, x, rho) {
  const at = Float64Array.from(x);
  const moved = new Float64Array(2);
  const gradient = new Float64Array(2);
  const hessian = new Float64Array(4);
  const loss = landscape.value(at);
  landscape.gradient(at, 0, gradient);
  landscape.hessian(at, hessian);
  const slope = Math.hypot(gradient[0], gradient[1]);

  const rise = (/** @type {number} */ angle) => {
    moved[0] = at[0] + rho * Math.cos(angle);
    moved[1] = at[1] + rho * Math.sin(angle);
    return landscape.value(moved) - loss;
  };
  const taylor = (/** @type {number} */ angle) => {
    const c = Math.cos(angle);
    const s = Math.sin(angle);
    const bend = hessian[0] * c * c + 2 * hessian[1] * c * s + hessian[3] * s * s;
    return rho * (gradient[0] * c + gradient[1] * s) + (rho * rho * bend) / 2;
  };

  const profile = Float64Array.from({ length: AROUND }, (_, i) => rise(angleAt(i)));
  const top = highest(rise, profile);
  // At ∇L = 0 the direction of samlib's rules, (1, 1)/√2.
  const uphill = slope === 0 ? Math.PI / 4 : Math.atan2(gradient[1], gradient[0]);
  const model = Float64Array.from({ length: AROUND }, (_, i) => taylor(angleAt(i)));
  const mean = profile.reduce((a, b) => a + b, 0) / AROUND;
  return {
    worst: { sharpness: rise(top), predicted: taylor(highest(taylor, model)), angle: top },
    ascent: { sharpness: rise(uphill), predicted: taylor(uphill), angle: uphill },
    average: { sharpness: mean, predicted: (rho * rho * (hessian[0] + hessian[3])) / 4, angle: NaN },
    loss,
    slope,
    eigenvalues: eigenvalues(hessian),
    profile,
    model,
    tie: rho > 0 && Math.abs(rise(top + Math.PI) - rise(top)) <= 1e-9 * Math.abs(rise(top)),
  };
}

/** The angle of the i-th point on the circle. @param {number} i */
export const angleAt = (i) => (2 * Math.PI * i) / AROUND;

/**
 * The angle where a smooth function is largest: the best of the given values and their neighbours, made
 * sharp by golden-section search.
 *
 * @param {(angle: number) => number} f @param {Float64Array} values f at every angleAt(i)
 */
function highest(f, values) {
  let best = 0;
  for (let i = 1; i < AROUND; i++) if (values[i] > values[best]) best = i;
  let low = angleAt(best - 1);
  let high = angleAt(best + 1);
  for (let i = 0; i < 48; i++) {
    const a = high - GOLDEN * (high - low);
    const b = low + GOLDEN * (high - low);
    if (f(a) > f(b)) high = b;
    else low = a;
  }
  const angle = (low + high) / 2;
  return f(angle) >= values[best] ? angle : angleAt(best);
}

const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** @param {Float64Array} hessian 2 × 2 @returns {[number, number]} */
function eigenvalues(hessian) {
  const largest = topEigenpair(Float64Array.from(hessian), new Float64Array(4), new Float64Array(2));
  return [largest, hessian[0] + hessian[3] - largest];
}
