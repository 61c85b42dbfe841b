// Losses with their derivatives, as samlib.landscapes has them, operation by operation, so that both give the same
// iterates. A point is D neighbouring numbers of a Float64Array, at an offset `at`; the loops allocate nothing.

/**
 * A loss with its exact gradient and Hessian, and, where it is a finite sum, its components' gradients.
 *
 * @typedef {object} Landscape
 * @property {string} name
 * @property {number} dim
 * @property {(x: Float64Array) => number} value
 * @property {(x: Float64Array, at: number, out: Float64Array) => void} gradient
 * @property {(x: Float64Array, out: Float64Array) => void} hessian row-major dim × dim
 * @property {((x: Float64Array, at: number, out: Float64Array, k: number) => void)=} componentGradient
 *   the gradient of component k; the loss is the mean of its components
 * @property {number=} terms how many terms the sum has
 * @property {((x: Float64Array, at: number, out: Float64Array, w: ArrayLike<number>, k: number) => void)=} weightedGradient
 *   the gradient with its terms weighted by w[k], w[k + 1], …; all weights 1 give the loss
 * @property {((x: Float64Array, at: number, v: Float64Array, out: Float64Array) => void)=} hessianVectorProduct
 */

/**
 * L(x) = ½ Σ λ_i x_i²: the coordinates are the eigenbasis.
 *
 * @param {ArrayLike<number>} eigenvalues
 * @returns {Landscape}
 */
export function quadratic(eigenvalues) {
  const lambda = Float64Array.from(eigenvalues);
  const dim = lambda.length;
  return {
    name: "quadratic",
    dim,
    value(x) {
      let sum = 0;
      for (let i = 0; i < dim; i++) sum += lambda[i] * x[i] * x[i];
      return 0.5 * sum;
    },
    gradient(x, at, out) {
      for (let i = 0; i < dim; i++) out[i] = lambda[i] * x[at + i];
    },
    hessian(_x, out) {
      out.fill(0);
      for (let i = 0; i < dim; i++) out[i * dim + i] = lambda[i];
    },
  };
}

/**
 * L(x) = ½ (x₂ − ½x₁²)²: a valley whose floor is a parabola.
 *
 * @returns {Landscape}
 */
export function curvedValley() {
  return {
    name: "curved-valley",
    dim: 2,
    value(x) {
      const h = x[1] - (x[0] * x[0]) / 2;
      return (h * h) / 2;
    },
    gradient(x, at, out) {
      const h = x[at + 1] - (x[at] * x[at]) / 2;
      out[0] = -h * x[at];
      out[1] = h;
    },
    hessian(x, out) {
      out[0] = x[0] * x[0] - (x[1] - (x[0] * x[0]) / 2);
      out[1] = out[2] = -x[0];
      out[3] = 1;
    },
  };
}

/**
 * L(x) = ¼(x₁² − 1)² + ½x₂²: two minimizers and a saddle between them.
 *
 * @returns {Landscape}
 */
export function doubleWell() {
  return {
    name: "double-well",
    dim: 2,
    value(x) {
      const h = x[0] * x[0] - 1;
      return (h * h) / 4 + (x[1] * x[1]) / 2;
    },
    gradient(x, at, out) {
      out[0] = (x[at] * x[at] - 1) * x[at];
      out[1] = x[at + 1];
    },
    hessian(x, out) {
      out[0] = 3 * x[0] * x[0] - 1;
      out[1] = out[2] = 0;
      out[3] = 1;
    },
  };
}
