// What the figure "LimitingFlow" computes: a network is fitted by gradient descent, then SAM goes on, and what
// it does to the spectrum is compared with the limiting flows. No drawing here.

import { randomWords, simulate, topEigenpair } from "../../dynamics/engine.js";
import { createGamma, flowAt, limitingFlow } from "../../dynamics/flow.js";
import { POINTS, interpolatingNetwork } from "../../dynamics/network.js";

/**
 * What a run depends on.
 *
 * @typedef {object} Settings
 * @property {number} network the seed of data and weights
 * @property {number} rho
 * @property {number} lr
 * @property {number} batch_size 1 to 5; 5 is the full batch
 * @property {number} seed of the mini-batches
 * @property {number} time τ at the end, or as far as MOST_STEPS go
 */

/**
 * A run at CHECKPOINTS + 1 steps, the first of them 0, as far as `done`.
 *
 * @typedef {object} Course
 * @property {number[]} steps
 * @property {Float64Array} tau ηρ² times the steps
 * @property {number} done the last checkpoint that is known
 * @property {Float64Array} x where it was, one point after the other
 * @property {Float64Array} top λ₁ at the point of Γ beside it; NaN where there is none
 * @property {Float64Array} trace
 * @property {Float64Array} alignment |cos∠(∇L(x), v₁(∇²L(x)))|
 */

/** Gradient descent fits the network with this learning rate, until ‖∇L‖ is so small. */
export const FIT = { lr: 0.1, norm: 1e-4, most: 100_000 };

export const CHECKPOINTS = 60;
export const MOST_STEPS = 600_000;

/**
 * The network, where gradient descent has brought it, and the point of Γ beside that.
 *
 * @param {number} seed
 */
export function fittedNetwork(seed) {
  const { network, weights } = interpolatingNetwork(seed);
  const g = new Float64Array(network.dim);
  const x = weights.slice();
  for (let t = 0; t < FIT.most; t++) {
    network.gradient(x, 0, g);
    if (Math.hypot(...g) < FIT.norm) break;
    for (let i = 0; i < x.length; i++) x[i] = x[i] - FIT.lr * g[i];
  }
  const fitted = x.slice();
  createGamma(network).retract(x);
  return { seed, network, fitted, onGamma: x };
}

/** @typedef {ReturnType<typeof fittedNetwork>} Fitted */

/** Both limiting flows, from the point of Γ beside the fitted weights. @param {Fitted} fit @param {number} horizon */
export const limitingFlows = ({ network, onGamma }, horizon) => ({
  top: limitingFlow(network, onGamma, "top", horizon),
  trace: limitingFlow(network, onGamma, "trace", horizon),
});

/** The steps of a run at which it is looked at. @param {Settings} settings */
export function checkpoints({ rho, lr, time }) {
  // The factor is for a quotient that rounding has put below the whole number that it is.
  const steps = Math.floor((time / (lr * rho * rho)) * (1 + 1e-12));
  const last = Math.min(Math.max(steps, 1), MOST_STEPS);
  return Array.from({ length: CHECKPOINTS + 1 }, (_, n) => Math.floor((n * last) / CHECKPOINTS));
}

/**
 * The weights of the terms at `count` steps from step `first` on: of the five points, in a random order, the
 * first m make the batch. Step t has the words 5t … 5t + 4 of the generator, and the order is theirs.
 *
 * @param {number} seed @param {number} size m @param {number} first @param {number} count
 */
export function shuffledBatches(seed, size, first, count) {
  const weights = new Float64Array(count * POINTS);
  const words = randomWords(seed, first * POINTS, count * POINTS);
  for (let t = 0; t < weights.length; t += POINTS) {
    for (let k = 0; k < POINTS; k++) {
      let rank = 0;
      for (let l = 0; l < POINTS; l++) {
        if (words[t + l] < words[t + k] || (words[t + l] === words[t + k] && l < k)) rank++;
      }
      if (rank < size) weights[t + k] = POINTS / size;
    }
  }
  return weights;
}

/**
 * Run SAM from the fitted weights; stops at every checkpoint, so that the caller may do something else.
 *
 * @param {Fitted} fit @param {Settings} settings
 * @returns {Generator<Course, void, void>} the same object again and again
 */
export function* train({ network, fitted }, settings) {
  const { rho, lr, batch_size, seed } = settings;
  const { dim } = network;
  const steps = checkpoints(settings);
  const column = () => new Float64Array(steps.length).fill(NaN);
  const tau = Float64Array.from(steps, (t) => t * lr * rho * rho);
  const course = {
    steps, tau, done: 0,
    x: new Float64Array(steps.length * dim), top: column(), trace: column(), alignment: column(),
  }; // prettier-ignore
  const gamma = createGamma(network);
  const aligned = alignmentOf(network);
  const full = batch_size === POINTS;
  const x = fitted.slice();
  const beside = new Float64Array(dim);
  /** @type {Float64Array} */
  let walk = new Float64Array();
  for (let n = 0; ; n++) {
    course.done = n;
    course.x.set(x, n * dim);
    beside.set(x);
    if (gamma.retract(beside)) {
      course.top[n] = gamma.values[0];
      course.trace[n] = gamma.values.reduce((a, b) => a + b);
    }
    course.alignment[n] = aligned(x);
    yield course;
    if (n === CHECKPOINTS) return;
    const count = steps[n + 1] - steps[n];
    if (count === 0) continue;
    const weights = full ? undefined : shuffledBatches(seed, batch_size, steps[n], count);
    const options = { start: x, steps: count, every: count, lr, rho, weights, into: walk };
    walk = simulate(network, full ? "sam" : "mini-batch", options).x;
    x.set(walk.subarray(dim, 2 * dim));
  }
}

/**
 * The largest distance of λ₁ (or the trace) to its flow, relative to the flow; NaN where the run leaves Γ, or
 * has no checkpoint while the flow lasts.
 *
 * @param {Course} course @param {ReturnType<typeof limitingFlows>} flows
 * @param {import("../../dynamics/flow.js").Regularizer} name
 */
export function errorOf(course, flows, name) {
  let most = NaN;
  for (let n = 1; n <= course.done; n++) {
    const value = flowAt(flows[name], name, course.tau[n]);
    if (course.tau[n] === 0 || Number.isNaN(value)) continue;
    const error = Math.abs(course[name][n] - value) / value;
    if (Number.isNaN(error)) return NaN;
    if (!(error <= most)) most = error;
  }
  return most;
}

/** Which flows a batch of this size is compared with: theorems are about 1 and the full batch. @param {number} size */
export const flowsOf = (size) =>
  /** @type {import("../../dynamics/flow.js").Regularizer[]} */ (size === 1 ? ["trace"] : size === POINTS ? ["top"] : ["top", "trace"]);

/** Lanczos steps; five large eigenvalues need few, and 20 make more than ten digits of the angle. */
const LANCZOS = 20;

/**
 * |cos∠(∇L, v₁)| at a point, with v₁ of the exact Hessian by Lanczos from the gradient of the network's top
 * mode; NaN where the gradient is zero or not finite.
 *
 * @param {import("../../dynamics/network.js").Network} network
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

  return (/** @type {Float64Array} */ x) => {
    network.gradient(x, 0, gradient);
    const norm = Math.sqrt(dot(gradient, gradient));
    if (!(norm > 0 && norm < Infinity)) return NaN;
    gamma.look(x);
    matrix.fill(0);
    let length = Math.sqrt(dot(gamma.direction, gamma.direction));
    image.set(gamma.direction);
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
    topEigenpair(matrix, work, ritz);
    let along = 0;
    for (let k = 0; k < m; k++) along += ritz[k] * dot(basis[k], gradient);
    return Math.min(1, Math.abs(along) / norm);
  };
}
