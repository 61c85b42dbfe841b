// The update rules, as samlib.rules has them, operation by operation.

/** @typedef {import("./landscapes.js").Landscape} Landscape */

/** @typedef {"gradient_descent" | "sam" | "ascent_loss_descent" | "one_sam" | "mini_batch"} Rule by the name that samlib's figures give it */

/**
 * The loop of a rule: advance(x, at, count, t) continues the point at `at`, which is that of step t, by
 * `count` iterates written one after the other behind it.
 *
 * @typedef {(x: Float64Array, at: number, count: number, t: number) => void} Advance
 */

/**
 * What a rule needs beside the loss. `draws[t]` is the component that 1-SAM uses at step t; `weights` holds those of
 * the terms at every step of mini-batch SAM, one step after the other.
 *
 * @typedef {{lr: number, rho: number, draws?: ArrayLike<number>, weights?: ArrayLike<number>}} Options
 */

/** @type {Readonly<Record<Rule, (landscape: Landscape, options: Options) => Advance>>} */
const RULES = {
  gradient_descent(landscape, { lr }) {
    const { dim } = landscape;
    const grad = new Float64Array(dim);
    return (x, at, count) => {
      for (const end = at + count * dim; at < end; at += dim) {
        landscape.gradient(x, at, grad);
        descend(x, at, grad, lr);
      }
    };
  },

  sam(landscape, { lr, rho }) {
    const { dim } = landscape;
    const grad = new Float64Array(dim);
    const ahead = new Float64Array(dim);
    return (x, at, count) => {
      for (const end = at + count * dim; at < end; at += dim) {
        landscape.gradient(x, at, grad);
        perturb(x, at, grad, rho, ahead);
        landscape.gradient(ahead, 0, grad);
        descend(x, at, grad, lr);
      }
    };
  },

  mini_batch({ dim, terms = 0, weightedGradient }, { lr, rho, weights }) {
    if (!weightedGradient || !weights) throw new RangeError("mini-batch SAM needs a sum, and weights");
    const grad = new Float64Array(dim);
    const ahead = new Float64Array(dim);
    return (x, at, count, t) => {
      for (const end = at + count * dim; at < end; at += dim, t++) {
        weightedGradient(x, at, grad, weights, terms * t);
        perturb(x, at, grad, rho, ahead);
        weightedGradient(ahead, 0, grad, weights, terms * t);
        descend(x, at, grad, lr);
      }
    };
  },

  one_sam({ dim, componentGradient }, { lr, rho, draws }) {
    if (!componentGradient || !draws) throw new RangeError("1-SAM needs a loss with components, and draws");
    const grad = new Float64Array(dim);
    const ahead = new Float64Array(dim);
    return (x, at, count, t) => {
      for (const end = at + count * dim; at < end; at += dim, t++) {
        componentGradient(x, at, grad, draws[t]);
        perturb(x, at, grad, rho, ahead);
        componentGradient(ahead, 0, grad, draws[t]);
        descend(x, at, grad, lr);
      }
    };
  },

  ascent_loss_descent(landscape, { lr, rho }) {
    const { dim, hessianVectorProduct } = landscape;
    if (!hessianVectorProduct) throw new RangeError("descent on L^Asc needs Hessian-vector products");
    const grad = new Float64Array(dim);
    const ahead = new Float64Array(dim);
    const u = new Float64Array(dim);
    const turning = new Float64Array(dim);
    return (x, at, count) => {
      for (const end = at + count * dim; at < end; at += dim) {
        landscape.gradient(x, at, u);
        const norm = unit(u);
        for (let i = 0; i < dim; i++) ahead[i] = x[at + i] + rho * u[i];
        landscape.gradient(ahead, 0, grad);
        let along = 0;
        for (let i = 0; i < dim; i++) along += u[i] * grad[i];
        for (let i = 0; i < dim; i++) u[i] = grad[i] - along * u[i];
        hessianVectorProduct(x, at, u, turning);
        const scale = norm === 0 ? 0 : rho / norm;
        for (let i = 0; i < dim; i++) grad[i] += scale * turning[i];
        descend(x, at, grad, lr);
      }
    };
  },
};

/** @param {Landscape} landscape @param {Rule} rule @param {Options} options */
export const makeRule = (landscape, rule, options) => RULES[rule](landscape, options);

/** Does a rule draw at random? @param {Rule} rule */
export const isStochastic = (rule) => rule === "one_sam" || rule === "mini_batch";

/** Sizes below this become 0: rounding would hold them above 0 for ever, where arithmetic is slow. */
const TINY = 1e-290;

/**
 * Write x − ηg behind x. @param {Float64Array} x @param {number} at @param {Float64Array} g @param {number} lr
 */
function descend(x, at, g, lr) {
  const dim = g.length;
  for (let i = 0; i < dim; i++) {
    const next = x[at + i] - lr * g[i];
    x[at + dim + i] = next < TINY && next > -TINY ? 0 : next;
  }
}

/**
 * SAM's look-ahead x + ρ g/‖g‖; at g = 0 the direction is (1, …, 1)/√D.
 *
 * @param {Float64Array} x @param {number} at @param {Float64Array} g @param {number} rho
 * @param {Float64Array} out
 */
function perturb(x, at, g, rho, out) {
  const dim = g.length;
  let sum = 0;
  for (let i = 0; i < dim; i++) sum += g[i] * g[i];
  const length = Math.sqrt(sum);
  if (length === 0) for (let i = 0; i < dim; i++) out[i] = x[at + i] + rho * (1 / Math.sqrt(dim));
  else for (let i = 0; i < dim; i++) out[i] = x[at + i] + rho * (g[i] / length);
}

/** Make g/‖g‖ of g, and (1, …, 1)/√D of zero; return ‖g‖. @param {Float64Array} g */
function unit(g) {
  const dim = g.length;
  let sum = 0;
  for (let i = 0; i < dim; i++) sum += g[i] * g[i];
  const length = Math.sqrt(sum);
  for (let i = 0; i < dim; i++) g[i] = length === 0 ? 1 / Math.sqrt(dim) : g[i] / length;
  return length;
}
