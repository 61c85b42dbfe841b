// What the figures show at one point: the gradient, and how it lies to the eigenvectors.

import { topEigenpair } from "./eigen.js";

/** A gradient below this has arrived: among subnormal numbers its direction is noise. */
const ARRIVED = 1e-150;

/** @typedef {import("./landscapes.js").Landscape} Landscape */

/**
 * What the figures show at one point: gradient, top eigenpair of the exact full Hessian, and the angle
 * between them. The object is reused from call to call.
 *
 * @param {Landscape} landscape
 */
export function probe(landscape) {
  const { dim } = landscape;
  const matrix = new Float64Array(dim * dim);
  const vectors = new Float64Array(dim * dim);
  const at = {
    x: new Float64Array(dim),
    gradient: new Float64Array(dim),
    eigenvector: new Float64Array(dim),
    eigenvalue: NaN,
    /** |cos ∠(∇L, v₁)|; NaN where the gradient is zero or not finite. */
    alignment: NaN,
    /** ∠(∇L, v₁) in degrees, between 0 and 90. */
    angle: NaN,
    /** @param {ArrayLike<number>} x @param {number} [offset] */
    look(x, offset = 0) {
      for (let i = 0; i < dim; i++) at.x[i] = x[offset + i];
      landscape.gradient(at.x, 0, at.gradient);
      landscape.hessian(at.x, matrix);
      at.eigenvalue = topEigenpair(matrix, vectors, at.eigenvector);
      // Scaled first, so that squares of a tiny gradient do not underflow.
      let scale = 0;
      for (let i = 0; i < dim; i++) scale = Math.max(scale, Math.abs(at.gradient[i]));
      if (!(scale > ARRIVED)) scale = NaN;
      let dot = 0;
      for (let i = 0; i < dim; i++) dot += (at.gradient[i] / scale) * at.eigenvector[i];
      let across = 0;
      let square = 0;
      for (let i = 0; i < dim; i++) {
        const g = at.gradient[i] / scale;
        const rest = g - dot * at.eigenvector[i];
        across += rest * rest;
        square += g * g;
      }
      at.alignment = Math.min(1, Math.abs(dot) / Math.sqrt(square));
      // From both sides of the triangle: arccos would lose every angle below 1e-8.
      at.angle = (Math.atan2(Math.sqrt(across), Math.abs(dot)) * 180) / Math.PI;
      return at;
    },
  };
  return at;
}

/**
 * The share of the gradient's square along each coordinate, g_i²/‖g‖²; NaN where the gradient is zero.
 *
 * @param {ArrayLike<number>} gradient @param {Float64Array} out
 */
export function shares(gradient, out) {
  // Scaled first, as in `probe`.
  let scale = 0;
  for (let i = 0; i < out.length; i++) scale = Math.max(scale, Math.abs(gradient[i]));
  if (!(scale > ARRIVED)) scale = NaN;
  let sum = 0;
  for (let i = 0; i < out.length; i++) sum += out[i] = (gradient[i] / scale) ** 2;
  for (let i = 0; i < out.length; i++) out[i] /= sum;
  return out;
}
