// Γ of a network: the way there, and the curvature on it. Everything needs the M outputs and their Jacobian only,
// which is why it is quick.

import { topEigenpair } from "./eigen.js";
import { pairsOf } from "./ties.js";
import { dot } from "./vectors.js";

/** @typedef {import("./network.js").Network} Network */
/** @typedef {"top_eigenvalue" | "trace"} Regularizer what a flow lowers */
/** @typedef {ReturnType<typeof createGamma>} Gamma */

/** Eigenvalues count as tied where their distance falls below so much of λ₁, as in samlib. */
const GAP = 1e-4;

/** Below this share of λ₁ an eigenvalue counts as zero: the rank has fallen (Assumption 3.3). */
const ZERO = 1e-8;

/** @param {Network} network */
export function createGamma({ dim, points, jacobian, bend }) {
  const residuals = new Float64Array(points);
  const rows = new Float64Array(points * dim);
  const gram = new Float64Array(points * points);
  const basis = new Float64Array(points * points);
  const top = new Float64Array(points);
  const shares = new Float64Array(points);
  const step = new Float64Array(dim);
  const across = new Float64Array(dim);
  const direction = new Float64Array(dim);
  const ones = new Float64Array(points).fill(1);
  const one = new Float64Array(points);
  const row = (/** @type {number} */ k) => rows.subarray(k * dim, (k + 1) * dim);
  const order = Int32Array.from({ length: points }, (_, k) => k);

  const gamma = {
    /** The eigenvalues of JJᵀ/M where look() was called last, largest first. */
    values: new Float64Array(points),
    /** Jᵀu of the largest one, which is v₁ but for its length. */
    direction,
    look,
    retract,
    gradient,
    eigenvector,
    slope,
    slopes,
    thirds,
    /** Has the Hessian its full rank where look() was called last? */
    regular: () => gamma.values[points - 1] > ZERO * gamma.values[0],
    /** How far apart the first so many eigenvalues and the next are, in units of GAP λ₁. @param {number} number */
    gap: (number) => (gamma.values[number - 1] - gamma.values[number]) / (GAP * gamma.values[0]),
  };

  /** Everything about the outputs at x. @param {Float64Array} x */
  function look(x) {
    jacobian(x, residuals, rows);
    for (let k = 0; k < points; k++) {
      for (let l = 0; l <= k; l++) {
        let sum = 0;
        for (let i = 0; i < dim; i++) sum += rows[k * dim + i] * rows[l * dim + i];
        gram[k * points + l] = gram[l * points + k] = sum / points;
      }
    }
    topEigenpair(gram, basis, top);
    order.sort((a, b) => gram[b * points + b] - gram[a * points + a]);
    order.forEach((k, n) => (gamma.values[n] = gram[k * points + k]));
    combine(top, direction);
  }

  /** Σ_k c_k ∇f_k. @param {ArrayLike<number>} c @param {Float64Array} out */
  function combine(c, out) {
    out.fill(0);
    for (let k = 0; k < points; k++) {
      for (let i = 0; i < dim; i++) out[i] += c[k] * rows[k * dim + i];
    }
  }

  /** The c with JJᵀ c = r, by the eigenvectors that look() has found. @param {ArrayLike<number>} r */
  function solve(r) {
    const c = new Float64Array(points);
    for (let e = 0; e < points; e++) {
      let along = 0;
      for (let k = 0; k < points; k++) along += basis[k * points + e] * r[k];
      along /= gram[e * points + e] * points;
      for (let k = 0; k < points; k++) c[k] += along * basis[k * points + e];
    }
    return c;
  }

  /**
   * Move x to the point of Γ beside it, by Newton's steps for f(s_k) = y_k that are as short as can be.
   *
   * @param {Float64Array} x
   * @returns {boolean} is it there? (look() has been called at the end)
   */
  function retract(x) {
    let before = Infinity;
    for (let n = 0; n < 30; n++) {
      look(x);
      combine(solve(residuals), step);
      let [moved, size] = [0, 0];
      for (let i = 0; i < dim; i++) {
        x[i] -= step[i];
        moved += step[i] * step[i];
        size += x[i] * x[i];
      }
      if (!(moved < Infinity)) return false;
      if (moved <= 1e-26 * size) return true;
      if (n > 5 && moved > before) return false;
      before = moved;
    }
    return false;
  }

  /**
   * P⊥ ∇S at a point of Γ where look() was called, for S = λ₁ or the trace:
   * ∇λ₁ = (2/M) Σ_k u_k ∇²f_k Jᵀu along Γ, and ∇Tr = (2/M) Σ_k ∇²f_k ∇f_k.
   *
   * @param {Float64Array} x @param {Regularizer} regularizer @param {Float64Array} out
   */
  function gradient(x, regularizer, out) {
    if (regularizer === "top_eigenvalue") bend(x, top, direction, out);
    else bend(x, ones, rows, out);
    flatten(out);
    for (let i = 0; i < dim; i++) out[i] *= 2 / points;
  }

  /** v_n, for its place among the eigenvalues where look() was called. @param {number} n */
  function eigenvector(n) {
    const size = Math.sqrt(points * gamma.values[n]);
    for (let k = 0; k < points; k++) one[k] = basis[k * points + order[n]] / size;
    const v = new Float64Array(dim);
    combine(one, v);
    return v;
  }

  /**
   * P⊥ ∂²(∇L)[v, w] at a point of Γ where look() was called:
   * (1/M) Σ_k [⟨∇f_k, w⟩ ∇²f_k v + ⟨∇f_k, v⟩ ∇²f_k w] along Γ.
   *
   * @param {Float64Array} x @param {Float64Array} v @param {Float64Array} w
   */
  function slope(x, v, w) {
    const out = new Float64Array(dim);
    for (const [from, to] of v === w ? [[v, v]] : [[v, w], [w, v]]) {
      for (let k = 0; k < points; k++) one[k] = dot(row(k), to) / points;
      bend(x, one, from, across);
      for (let i = 0; i < dim; i++) out[i] += (v === w ? 2 : 1) * across[i];
    }
    flatten(out);
    return out;
  }

  /** P⊥ ∂²(∇L)[v_a, v_b], a ≤ b, of these directions. @param {Float64Array} x @param {Float64Array[]} vectors */
  function slopes(x, vectors) {
    return [...pairsOf(vectors.length)].map(([a, b]) => slope(x, vectors[a], vectors[b]));
  }

  /**
   * ∂³L[v, v, w] for each of these w, at a point of Γ where look() was called:
   * (1/M) Σ_k [2 ⟨∇f_k, v⟩ ∇²f_k[v, w] + ∇²f_k[v, v] ⟨∇f_k, w⟩].
   *
   * @param {Float64Array} x @param {Float64Array} v @param {Float64Array[]} others
   */
  function thirds(x, v, others) {
    const found = new Float64Array(others.length);
    for (let k = 0; k < points; k++) {
      one.fill(0);
      one[k] = 1;
      bend(x, one, v, across);
      const [along, curved] = [dot(row(k), v), dot(across, v)];
      for (const [i, w] of others.entries()) {
        found[i] += (2 * along * dot(across, w) + curved * dot(row(k), w)) / points;
      }
    }
    return found;
  }

  /** P⊥ in place. @param {Float64Array} out */
  function flatten(out) {
    for (let k = 0; k < points; k++) {
      shares[k] = 0;
      for (let i = 0; i < dim; i++) shares[k] += rows[k * dim + i] * out[i];
    }
    combine(solve(shares), step);
    for (let i = 0; i < dim; i++) out[i] -= step[i];
  }

  return gamma;
}
