// The trace of a symmetric matrix that is known by its products, with its standard error.

import { add, inner } from "./vectors.js";

/** @typedef {{value: number, error: number, probes: number}} Estimate error: one standard error */

/**
 * Hutchinson's estimator on the complement of some orthonormal vectors, on which the trace is exact: the mean of
 * zᵀPHPz over random signs z, P the projection beside them (Hutch++; Meyer et al. 2021). The vectors must not depend on
 * the signs, so that the estimate is unbiased.
 *
 * @param {import("./subspace.js").Product} product
 * @param {{vectors: Float64Array[], probes: number, sign: () => number, dim: number}} options
 * @returns {Estimate}
 */
export function hutchinson(product, { vectors, probes, sign, dim }) {
  const image = new Float64Array(dim);
  let known = 0;
  for (const v of vectors) {
    product(v, image);
    known += inner(v, image);
  }
  const found = [];
  for (let n = 0; n < probes; n++) {
    const z = Float64Array.from({ length: dim }, sign);
    for (const v of vectors) add(z, -inner(v, z), v);
    product(z, image);
    found.push(inner(z, image));
  }
  const mean = found.reduce((a, b) => a + b, 0) / probes;
  const variance = found.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (probes - 1);
  return { value: known + mean, error: Math.sqrt(variance / probes), probes };
}
