// How the flow of λ₁ goes on where the largest eigenvalues are tied, as in samlib.flow.ties.

import { topEigenpair } from "./eigen.js";
import { dot } from "./vectors.js";

/**
 * The Q [k × k] with trace one for which Σ Q_ab T_ab is shortest: the mixture that keeps k eigenvalues tied.
 *
 * @param {Float64Array[]} slopes the T_ab, a ≤ b, row by row @param {number} k
 * @returns {Float64Array} row-major; not a number where there is no such Q, or more than one
 */
export function keepingMixture(slopes, k) {
  const pairs = slopes.length;
  const size = pairs + 1;
  const system = new Float64Array(size * (size + 1));
  const diagonal = [...pairsOf(k)].map(([a, b]) => (a === b ? 1 : 0));
  for (let p = 0; p < pairs; p++) {
    for (let q = 0; q < pairs; q++) {
      system[p * (size + 1) + q] = (2 - diagonal[q]) * dot(slopes[p], slopes[q]);
    }
    system[p * (size + 1) + pairs] = -diagonal[p];
    system[pairs * (size + 1) + p] = diagonal[p];
  }
  system[pairs * (size + 1) + size] = 1;
  const shares = solve(system, size);
  const mixture = new Float64Array(k * k);
  [...pairsOf(k)].forEach(([a, b], p) => {
    mixture[a * k + b] = mixture[b * k + a] = shares[p];
  });
  return mixture;
}

/**
 * The Q = uuᵀ of two eigenvalues for which Σ Q_ab T_ab is shortest, by bisection: they part along it.
 *
 * @param {Float64Array[]} slopes T₁₁, T₁₂, T₂₂
 */
export function partingMixture([first, between, second]) {
  const mean = first.map((v, i) => (v + second[i]) / 2);
  const apart = first.map((v, i) => (v - second[i]) / 2);
  const [aa, ab, bb] = [dot(apart, apart), dot(apart, between), dot(between, between)];
  const [pa, pb] = [dot(apart, mean), dot(between, mean)];
  /** @param {number} mu */
  const at = (mu) => {
    const determinant = (aa + mu) * (bb + mu) - ab * ab;
    return [(ab * pb - (bb + mu) * pa) / determinant, (ab * pa - (aa + mu) * pb) / determinant];
  };
  let low = 0;
  let high = Math.hypot(pa, pb);
  for (let n = 0; n < 60; n++) {
    const middle = (low + high) / 2;
    if (Math.hypot(...at(middle)) > 1) low = middle;
    else high = middle;
  }
  const [c, s] = at(high);
  return Float64Array.of((1 + c) / 2, s / 2, s / 2, (1 - c) / 2);
}

/** The smallest eigenvalue of a mixture. @param {Float64Array} mixture @param {number} k */
export const firmness = (mixture, k) => eigenOf(mixture, k).values[k - 1];

/** The eigenvalues of a mixture, the largest first, and its eigenvectors. @param {Float64Array} mixture @param {number} k */
export function eigenOf(mixture, k) {
  const diagonal = mixture.slice();
  const basis = new Float64Array(k * k);
  topEigenpair(diagonal, basis, new Float64Array(k));
  const order = Array.from({ length: k }, (_, n) => n).sort((a, b) => diagonal[b * (k + 1)] - diagonal[a * (k + 1)]);
  return {
    values: order.map((n) => diagonal[n * (k + 1)]),
    vectors: order.map((n) => Float64Array.from({ length: k }, (_, a) => basis[a * k + n])),
  };
}

/**
 * The shortest step after which k eigenvalues are equal, to first order.
 *
 * @param {Float64Array[]} slopes the T_ab, a ≤ b @param {ArrayLike<number>} values the eigenvalues
 * @param {number} k @param {Float64Array} out
 */
export function towardsTie(slopes, values, k, out) {
  // Step = Σ y_p T_p; along it the entry p changes by ⟨T_p, step⟩, and all λ_a become one c.
  const pairs = slopes.length;
  const size = pairs + 1;
  const system = new Float64Array(size * (size + 1));
  [...pairsOf(k)].forEach(([a, b], p) => {
    const row = p * (size + 1);
    for (let q = 0; q < pairs; q++) system[row + q] = dot(slopes[p], slopes[q]);
    system[row + pairs] = a === b ? -1 : 0;
    system[row + size] = a === b ? -values[a] : 0;
    system[pairs * (size + 1) + p] = a === b ? 1 : 0;
  });
  const shares = solve(system, size);
  for (let i = 0; i < out.length; i++) {
    out[i] = 0;
    for (let p = 0; p < pairs; p++) out[i] += shares[p] * slopes[p][i];
  }
}

/** All pairs a ≤ b below k, row by row. @param {number} k @returns {Generator<[number, number]>} */
export function* pairsOf(k) {
  for (let a = 0; a < k; a++) for (let b = a; b < k; b++) yield [a, b];
}

/**
 * The solution of linear equations, by elimination with pivots.
 *
 * @param {Float64Array} system row-major size × (size + 1), the right side last; overwritten @param {number} size
 */
function solve(system, size) {
  const width = size + 1;
  for (let n = 0; n < size; n++) {
    let pivot = n;
    for (let r = n + 1; r < size; r++) {
      if (Math.abs(system[r * width + n]) > Math.abs(system[pivot * width + n])) pivot = r;
    }
    for (let c = n; c < width; c++) {
      const kept = system[n * width + c];
      system[n * width + c] = system[pivot * width + c];
      system[pivot * width + c] = kept;
    }
    for (let r = 0; r < size; r++) {
      if (r === n) continue;
      const factor = system[r * width + n] / system[n * width + n];
      for (let c = n; c < width; c++) system[r * width + c] -= factor * system[n * width + c];
    }
  }
  return Float64Array.from({ length: size }, (_, n) => system[n * width + size] / system[n * width + n]);
}
