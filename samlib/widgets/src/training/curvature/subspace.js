// An orthonormal basis Q that grows by products with a symmetric matrix H, and H seen through it: the Rayleigh-Ritz
// values and vectors of QᵀHQ.

import { diagonalize } from "../../dynamics/eigen.js";
import { dot } from "../../dynamics/vectors.js";

/** @typedef {(v: Float64Array, out: Float64Array) => void} Product v ↦ H v */

/** @typedef {{value: number, coefficients: Float64Array}} Ritz by which the vectors of the basis are combined */

/** What is left of a vector of unit length must be longer than this to be more than rounding. */
const LEAST = 1e-10;

/** @param {Float64Array} v @param {number} factor @param {Float64Array} w v += factor·w */
export function add(v, factor, w) {
  for (let i = 0; i < v.length; i++) v[i] += factor * w[i];
}

/** @param {Float64Array} v @param {number} factor */
function scale(v, factor) {
  for (let i = 0; i < v.length; i++) v[i] *= factor;
}

/** @param {Product} product @param {number} dim */
export function createSubspace(product, dim) {
  /** @type {Float64Array[]} */
  let basis = [];
  /** @type {Float64Array[]} H on each */
  let images = [];
  /** @type {number[][]} the lower triangle of QᵀHQ */
  let projected = [];

  const subspace = {
    products: 0,
    get size() {
      return basis.length;
    },
    basis: () => basis,
    /**
     * Add what a vector has outside the basis, and H on it; returns that image, or null if there is nothing new.
     *
     * @param {Float64Array} vector is overwritten
     */
    grow(vector) {
      const length = Math.sqrt(dot(vector, vector));
      if (!(length > 0) || !Number.isFinite(length) || basis.length === dim) return null;
      scale(vector, 1 / length);
      // Again where little is left, because a large part of that is rounding (Daniel et al. 1976).
      for (let left = 0, before = 1; left < 0.1 * before; ) {
        for (const q of basis) add(vector, -dot(q, vector), q);
        before = left || 1;
        left = Math.sqrt(dot(vector, vector));
        if (left < LEAST) return null;
        if (left >= 0.1 * before) scale(vector, 1 / left);
      }
      const image = new Float64Array(dim);
      product(vector, image);
      subspace.products++;
      basis.push(vector);
      images.push(image);
      projected.push(basis.map((q) => dot(q, image)));
      return image;
    },
    /** Ritz values, largest first. @returns {Ritz[]} */
    ritz() {
      const size = basis.length;
      const [matrix, vectors] = [new Float64Array(size * size), new Float64Array(size * size)];
      projected.forEach((row, i) => row.forEach((entry, j) => (matrix[i * size + j] = matrix[j * size + i] = entry)));
      diagonalize(matrix, vectors, size);
      const order = projected.map((_, i) => i).sort((a, b) => matrix[b * (size + 1)] - matrix[a * (size + 1)]);
      return order.map((i) => ({
        value: matrix[i * (size + 1)],
        coefficients: Float64Array.from(basis, (_, j) => vectors[j * size + i]),
      }));
    },
    /** The Ritz vector. @param {Ritz} pair */
    vector: ({ coefficients }) => combined(basis, coefficients, dim),
    /** H q − θ q. @param {Ritz} pair */
    residual({ value, coefficients }) {
      const out = combined(images, coefficients, dim);
      basis.forEach((q, i) => add(out, -value * coefficients[i], q));
      return out;
    },
    /** Keep the span of some Ritz vectors only (thick restart; Wu and Simon 2000). @param {Ritz[]} kept */
    restart(kept) {
      const next = kept.map(({ coefficients }) => combined(basis, coefficients, dim));
      images = kept.map(({ coefficients }) => combined(images, coefficients, dim));
      basis = next;
      projected = kept.map(({ value }, i) => Array.from({ length: i + 1 }, (_, j) => (i === j ? value : 0)));
    },
  };
  return subspace;
}

/** @param {Float64Array[]} vectors @param {Float64Array} coefficients @param {number} dim */
function combined(vectors, coefficients, dim) {
  const out = new Float64Array(dim);
  vectors.forEach((v, i) => add(out, coefficients[i], v));
  return out;
}
