// The alignment of a network's gradient with the top eigenvector of its Hessian.

import { topEigenpair } from "./eigen.js";
import { createGamma } from "./gamma.js";

/** Lanczos steps; five large eigenvalues need few, and 20 make more than ten digits of the angle. */
const LANCZOS = 20;

/**
 * |cos∠(∇L, v₁)| at a point, with v₁ of the exact Hessian by Lanczos from the gradient of the network's top
 * mode; NaN where the gradient is zero or not finite.
 *
 * @param {import("./network.js").Network} network
 */
export function alignmentOf(network) {
  const { dim } = network;
  const gamma = createGamma(network);
  const basis = Array.from({ length: LANCZOS }, () => new Float64Array(dim));
  const image = new Float64Array(dim);
  const gradient = new Float64Array(dim);
  const matrix = new Float64Array(LANCZOS * LANCZOS);
  const work = new Float64Array(LANCZOS * LANCZOS);
  const ritz = new Float64Array(LANCZOS);
  const dot = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) => {
    let sum = 0;
    for (let i = 0; i < dim; i++) sum += a[i] * b[i];
    return sum;
  };

  /** A tridiagonal matrix from `image` on, with its basis; how many vectors that has. @param {Float64Array} x */
  function krylov(x) {
    matrix.fill(0);
    let length = Math.sqrt(dot(image, image));
    let m = 0;
    for (; m < LANCZOS && length > 1e-14; m++) {
      const v = basis[m];
      for (let i = 0; i < dim; i++) v[i] = image[i] / length;
      network.hessianVectorProduct(x, 0, v, image);
      // Against all of the basis, twice: rounding would bring back what was taken out.
      for (let again = 0; again < 2; again++) {
        for (let k = 0; k <= m; k++) {
          const along = dot(image, basis[k]);
          if (again === 0) matrix[k * LANCZOS + m] = matrix[m * LANCZOS + k] = along;
          for (let i = 0; i < dim; i++) image[i] -= along * basis[k][i];
        }
      }
      length = Math.sqrt(dot(image, image));
    }
    return m;
  }

  return (/** @type {Float64Array} */ x) => {
    network.gradient(x, 0, gradient);
    const norm = Math.sqrt(dot(gradient, gradient));
    if (!(norm > 0 && norm < Infinity)) return NaN;
    gamma.look(x);
    image.set(gamma.direction);
    const m = krylov(x);
    topEigenpair(matrix, work, ritz);
    let along = 0;
    for (let k = 0; k < m; k++) along += ritz[k] * dot(basis[k], gradient);
    return Math.min(1, Math.abs(along) / norm);
  };
}
