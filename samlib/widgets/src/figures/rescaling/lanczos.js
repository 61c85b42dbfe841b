// The largest eigenvalue of a symmetric matrix that is known by its products, and its eigenvector.

import { combined, dot } from "../../dynamics/vectors.js";

/**
 * The residual is at most `tolerance`, relative to the eigenvalue; or so many products were made.
 *
 * @typedef {{tolerance: number, most: number}} Effort
 */

/** @type {Effort} */
const TO_THE_EYE = { tolerance: 1e-5, most: 60 };

/** Every so many products the eigenvalue is looked at. */
const EVERY = 5;

/**
 * By Lanczos' method with full reorthogonalization.
 *
 * @param {(v: Float64Array) => Float64Array} product @param {Float64Array} start @param {Effort} [effort]
 * @returns {{value: number, vector: Float64Array}}
 */
export function largestEigenpair(product, start, { tolerance, most } = TO_THE_EYE) {
  const basis = [unit(start)];
  /** @type {number[]} */
  const alpha = [];
  /** @type {number[]} */
  const beta = [];
  for (let k = 1; ; k++) {
    const next = product(basis[k - 1]);
    alpha.push(dot(basis[k - 1], next));
    for (const q of basis) remove(next, q, dot(q, next));
    const length = Math.sqrt(dot(next, next));
    const last = k === most || k === start.length || !(length > 1e-13 * Math.abs(alpha[0]));
    if (last || k % EVERY === 0) {
      const value = topOfTridiagonal(alpha, beta);
      const parts = vectorOfTridiagonal(alpha, beta, value);
      if (last || length * Math.abs(parts[k - 1]) < tolerance * Math.abs(value)) {
        return { value, vector: unit(combined(basis, parts)) };
      }
    }
    beta.push(length);
    basis.push(next.map((entry) => entry / length));
  }
}

/** @param {Float64Array} v */
function unit(v) {
  const length = Math.sqrt(dot(v, v));
  return v.map((entry) => entry / length);
}

/** v −= cq. @param {Float64Array} v @param {Float64Array} q @param {number} c */
function remove(v, q, c) {
  for (let i = 0; i < v.length; i++) v[i] -= c * q[i];
}

/** Its largest eigenvalue, by bisection. @param {number[]} alpha @param {number[]} beta */
function topOfTridiagonal(alpha, beta) {
  // Gershgorin's circles hold all eigenvalues.
  const reach = alpha.map((a, i) => a + Math.abs(beta[i - 1] ?? 0) + Math.abs(beta[i] ?? 0));
  let high = Math.max(...reach);
  let low = Math.max(...alpha);
  for (let k = 0; k < 80 && high - low > 1e-15 * Math.abs(high); k++) {
    const middle = (low + high) / 2;
    if (isAbove(middle, alpha, beta)) high = middle;
    else low = middle;
  }
  return high;
}

/** Are all eigenvalues below a number? Then no pivot of σ − T is negative. @param {number} sigma @param {number[]} alpha @param {number[]} beta */
function isAbove(sigma, alpha, beta) {
  let pivot = 1;
  return alpha.every((a, i) => {
    pivot = sigma - a - (i ? beta[i - 1] ** 2 / pivot : 0);
    return pivot > 0;
  });
}

/** The unit eigenvector, by inverse iteration just above the eigenvalue. @param {number[]} alpha @param {number[]} beta @param {number} value */
function vectorOfTridiagonal(alpha, beta, value) {
  const sigma = value + 1e-12 * Math.abs(value);
  /** @type {number[]} */
  const pivots = [];
  alpha.forEach((a, i) => pivots.push(sigma - a - (i ? beta[i - 1] ** 2 / pivots[i - 1] : 0)));
  let v = new Float64Array(alpha.length).fill(1);
  for (let pass = 0; pass < 3; pass++) {
    for (let i = 1; i < v.length; i++) v[i] += (beta[i - 1] / pivots[i - 1]) * v[i - 1];
    for (let i = v.length - 1; i >= 0; i--) v[i] = (v[i] + (beta[i] ?? 0) * (v[i + 1] ?? 0)) / pivots[i];
    v = unit(v);
  }
  return v;
}
