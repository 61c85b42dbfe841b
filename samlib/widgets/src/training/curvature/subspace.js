// An orthonormal basis Q that grows by products with a symmetric matrix H, and H seen through it: the Rayleigh-Ritz
// values and vectors of QᵀHQ.

import { eigenpairs } from "./symmetric.js";
import { addCombined, combined, inner, scale } from "./vectors.js";

/** @typedef {(v: Float64Array, out: Float64Array) => void} Product v ↦ H v */

/**
 * A Ritz value θ, the coefficients y of its vector q = Qy in the basis, and ‖H q − θ q‖.
 *
 * @typedef {{value: number, coefficients: Float64Array, residual: number}} Ritz
 */

/** What is left of a vector of unit length must be longer than this to be more than rounding. */
const LEAST = 1e-10;

/** @param {Product} product @param {number} dim */
export function createSubspace(product, dim) {
  /** @type {Float64Array[]} */
  let basis = [];
  /** @type {Float64Array[]} H on each */
  let images = [];
  /** @type {number[][]} the lower triangle of QᵀHQ */
  let projected = [];
  /** @type {number[][]} that of (HQ)ᵀHQ */
  let squares = [];

  /** What a vector has outside the basis, at unit length, in its place; false if there is nothing. @param {Float64Array} vector */
  function takeOutside(vector) {
    const length = Math.sqrt(inner(vector, vector));
    if (!(length > 0) || !Number.isFinite(length) || basis.length === dim) return false;
    scale(vector, 1 / length);
    // Again where little is left, because a large part of that is rounding (Daniel et al. 1976).
    for (let left = 0; left < Math.SQRT1_2; ) {
      removeParts(vector, basis);
      left = Math.sqrt(inner(vector, vector));
      if (left < LEAST) return false;
      scale(vector, 1 / left);
    }
    return true;
  }

  const subspace = {
    products: 0,
    get size() {
      return basis.length;
    },
    /**
     * Add what a vector has outside the basis, and H on it; returns that image, or null if there is nothing new.
     *
     * @param {Float64Array} vector is overwritten
     */
    grow(vector) {
      if (!takeOutside(vector)) return null;
      const image = new Float64Array(dim);
      product(vector, image);
      subspace.products++;
      basis.push(vector);
      images.push(image);
      projected.push(basis.map((q) => inner(q, image)));
      squares.push(images.map((each) => inner(each, image)));
      return image;
    },
    /** Largest value first; residuals of the first ones only. @param {number} count @returns {Ritz[]} */
    ritz: (count) =>
      eigenpairs(whole(projected)).map(({ value, vector }, i) => {
        const square = i < count ? quadratic(squares, vector) - value * value : NaN;
        return { value, coefficients: vector, residual: Math.sqrt(Math.max(square, 0)) };
      }),
    /** The Ritz vector q. @param {Ritz} pair */
    vector: ({ coefficients }) => combined(basis, coefficients),
    /** H q. @param {Ritz} pair */
    image: ({ coefficients }) => combined(images, coefficients),
    /** Keep the span of some Ritz vectors only (thick restart; Wu and Simon 2000). @param {Ritz[]} kept */
    restart(kept) {
      [basis, images] = [kept.map(subspace.vector), kept.map(subspace.image)];
      projected = kept.map(({ value }, i) => kept.slice(0, i + 1).map((_, j) => (i === j ? value : 0)));
      squares = images.map((image, i) => images.slice(0, i + 1).map((each) => inner(each, image)));
    },
  };
  return subspace;
}

/** Take from a vector what it has in the span of a basis. @param {Float64Array} vector @param {Float64Array[]} basis */
function removeParts(vector, basis) {
  const parts = new Float64Array(basis.length);
  for (let i = 0; i < parts.length; i++) parts[i] = -inner(basis[i], vector);
  addCombined(vector, basis, parts);
}

/** A symmetric matrix from its lower triangle. @param {number[][]} lower */
function whole(lower) {
  const rows = lower.map(() => new Float64Array(lower.length));
  lower.forEach((row, i) => row.forEach((entry, j) => (rows[i][j] = rows[j][i] = entry)));
  return rows;
}

/** yᵀAy. @param {number[][]} lower of A @param {Float64Array} y */
function quadratic(lower, y) {
  let sum = 0;
  for (let i = 0; i < y.length; i++) {
    for (let j = 0; j < i; j++) sum += 2 * y[i] * lower[i][j] * y[j];
    sum += y[i] * lower[i][i] * y[i];
  }
  return sum;
}
