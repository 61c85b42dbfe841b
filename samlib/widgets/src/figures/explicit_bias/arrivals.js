// The runs from x′ to Γ: under gradient descent u turns to the flat wall, under SAM to the steep one.

import { fourDimensional } from "../../dynamics/four-dimensional.js";
import { simulate } from "../../dynamics/simulate.js";
import { constants } from "../../schema.js";

/** Their η and ρ, how far from x they begin, and their steps. */
export const { lr, rho, distance, steps: STEPS } = constants.arrival;

export const METHODS = /** @type {const} */ (["gradient_descent", "sam"]);

/** @typedef {typeof METHODS[number]} Method */
/** @typedef {{x: Float64Array, u: Float64Array, halfCurvature: Float64Array}} Arrival x and u four numbers a step */

const landscape = fourDimensional();

/**
 * @param {readonly number[]} point (x₁, x₂) @param {number} angle of x′ in degrees
 * @returns {Record<Method, Arrival>}
 */
export function arrivalsFrom([x1, x2], angle) {
  const turn = (angle * Math.PI) / 180;
  const start = [x1, x2, distance * Math.cos(turn), distance * Math.sin(turn)];
  return /** @type {any} */ (
    Object.fromEntries(METHODS.map((rule) => [rule, measured(simulate(landscape, rule, { start, steps: STEPS, lr, rho }).x)]))
  );
}

/** @param {Float64Array} x @returns {Arrival} */
function measured(x) {
  const u = new Float64Array(x.length);
  const halfCurvature = new Float64Array(STEPS + 1);
  for (let t = 0; t <= STEPS; t++) {
    const here = u.subarray(4 * t, 4 * t + 4);
    landscape.gradient(x, 4 * t, here);
    const size = Math.hypot(...here);
    here.forEach((v, i) => (here[i] = v / size));
    halfCurvature[t] = halfCurvatureAlong(x.subarray(4 * t, 4 * t + 4), here);
  }
  return { x, u, halfCurvature };
}

/** ½uᵀ∇²L u. @param {Float64Array} x @param {Float64Array} u */
function halfCurvatureAlong(x, u) {
  const hessian = new Float64Array(16);
  landscape.hessian(x, hessian);
  return hessian.reduce((sum, entry, k) => sum + entry * u[k >> 2] * u[k & 3], 0) / 2;
}
