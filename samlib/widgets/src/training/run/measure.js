// What is measured of a run where it is: the top of the Hessian's spectrum, its trace, how the gradient lies in it,
// SAM's edge of stability, the loss along v₁.

import { randomWords } from "../../dynamics/random.js";
import { dot } from "../../dynamics/vectors.js";
import { topSpectrum } from "../curvature/spectrum.js";
import { hutchinson } from "../curvature/trace.js";
import { norm } from "./rules.js";

/**
 * What is asked for. Without `eigenvalues` there is neither an alignment nor a profile.
 *
 * @typedef {object} Wish
 * @property {number} [eigenvalues] how many of the largest; 10 if not said
 * @property {number} [rtol] to which relative error; 0.01 if not said
 * @property {number} [most] products with the Hessian for them; 400 if not said
 * @property {boolean | number} [trace] is it estimated, or with how many random vectors; 16 if not said
 * @property {{reach: number, points: number}} [profile] the loss at so many points from −reach to reach along v₁
 * @property {{lr: number, rho: number}} [edge] the rates for which the edge is wanted
 */

/**
 * @typedef {object} Measurement
 * @property {number} step
 * @property {number} loss
 * @property {number} gradientNorm
 * @property {Float64Array} eigenvalues of the Hessian of the training loss, the largest, largest first
 * @property {Float64Array} errors of each
 * @property {boolean} converged are they as exact as was asked for?
 * @property {number} products with the Hessian that they took
 * @property {number} alignment |cos∠(∇L, v₁)|
 * @property {number} alignmentTop ‖P∇L‖/‖∇L‖, P the projection on the span of all eigenvectors found
 * @property {import("../curvature/trace.js").Estimate | null} trace
 * @property {{at: Float64Array, loss: Float64Array} | null} profile L(x + t v₁) over t; t > 0 is uphill
 * @property {number | null} edge the λ at which SAM's steps along an eigenvector cease to be stable
 * @property {number} elapsed ms that all this took
 */

/**
 * The λ for which ηλ(1 + ρλ/‖g‖) = 2 (Long and Bartlett 2024); 2/η for ρ = 0.
 *
 * @param {number} lr @param {number} rho @param {number} gradientNorm
 */
export const edgeOfStability = (lr, rho, gradientNorm) =>
  rho === 0 ? 2 / lr : 4 / (lr * (1 + Math.sqrt(1 + (8 * rho) / (lr * gradientNorm))));

/**
 * Measures one run; it remembers the eigenvectors that it found, to begin there the next time.
 *
 * @param {import("./session.js").Session} session
 */
export function createGauge({ model, full, x, settings, at }) {
  const { dim } = model;
  const g = new Float64Array(dim);
  /** @type {Float64Array[]} */
  let kept = [];
  let drawn = 0;

  /** Random words, each used once. @param {number} count */
  function words(count) {
    drawn += count;
    return randomWords(settings.seed ^ 0x6a09e667, drawn - count, count);
  }

  /** @param {Float64Array} v @param {Float64Array} out */
  const product = (v, out) => model.product(full, v, out);

  /** The loss along a direction. @param {Float64Array} v @param {{reach: number, points: number}} range */
  function profileAlong(v, { reach, points }) {
    const at = Float64Array.from({ length: points }, (_, i) => ((2 * i) / (points - 1) - 1) * reach);
    const loss = at.map((t) => model.value(x.map((entry, i) => entry + t * v[i]), full));
    return { at, loss };
  }

  /** @param {number | boolean} trace @param {Float64Array[]} vectors */
  function traceOf(trace, vectors) {
    const probes = trace === true ? 16 : Number(trace);
    const signs = words(Math.ceil((probes * dim) / 32));
    let n = -1;
    const sign = () => (n++, (signs[n >> 5] >>> (n & 31)) & 1 ? 1 : -1);
    return hutchinson(product, { vectors, probes, sign, dim });
  }

  return {
    /** Forget the eigenvectors. */
    rewind() {
      kept = [];
      drawn = 0;
    },
    /** @param {Wish} wish @returns {Measurement} */
    measure({ eigenvalues = 10, rtol = 0.01, most = 400, trace = false, profile, edge }) {
      const began = performance.now();
      const loss = model.gradient(x, full, g);
      const gradientNorm = norm(g);
      const random = () => Float64Array.from(words(dim), (word) => word / 2 ** 32 - 0.5);
      const options = { count: eigenvalues, rtol, most, start: kept, random };
      const found = Number.isFinite(loss) && eigenvalues > 0 ? topSpectrum(product, dim, options) : null;
      if (found?.values.every(Number.isFinite)) kept = found.kept;
      const vectors = found?.vectors ?? [];
      const along = vectors.map((v) => dot(v, g));
      if (along[0] < 0) vectors[0].forEach((entry, i) => (vectors[0][i] = -entry));
      return {
        step: at(), loss, gradientNorm,
        eigenvalues: found?.values ?? new Float64Array(), errors: found?.errors ?? new Float64Array(),
        converged: found?.converged ?? false, products: found?.products ?? 0,
        alignment: found ? Math.abs(along[0]) / gradientNorm : NaN,
        alignmentTop: found ? Math.hypot(...along) / gradientNorm : NaN,
        trace: trace && Number.isFinite(loss) ? traceOf(trace, vectors) : null,
        profile: profile && found ? profileAlong(vectors[0], profile) : null,
        edge: edge ? edgeOfStability(edge.lr, edge.rho, gradientNorm) : null,
        elapsed: performance.now() - began,
      }; // prettier-ignore
    },
  };
}
