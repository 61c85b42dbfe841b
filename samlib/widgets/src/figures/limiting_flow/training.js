// What the figure "LimitingFlow" computes: a network is fitted by gradient descent, then SAM goes on, and what
// it does to the spectrum is compared with the limiting flows. No drawing here.

import { alignmentOf } from "../../dynamics/alignment.js";
import { flowAt, limitingFlow } from "../../dynamics/flow.js";
import { createGamma } from "../../dynamics/gamma.js";
import { interpolatingNetwork } from "../../dynamics/network.js";
import { createPlanes } from "../../dynamics/planes.js";
import { randomWords } from "../../dynamics/random.js";
import { simulate } from "../../dynamics/simulate.js";
import { constants } from "../../schema.js";
import { createDirections } from "./directions.js";

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
 * @property {"limit" | "rate" | "both"} flow of λ₁ with which it is compared: as η → 0, at this η, with both errors
 * @property {"function" | "plane"} panel whether its directions are looked at
 */

/**
 * A run at CHECKPOINTS + 1 steps, the first of them 0, as far as `done`.
 *
 * @typedef {object} Course
 * @property {number[]} steps
 * @property {Float64Array} tau ηρ² times the steps
 * @property {number} done the last checkpoint that is known
 * @property {Float64Array} x where it was, one point after the other
 * @property {Float64Array} top_eigenvalue λ₁ at the point of Γ beside it; NaN where there is none
 * @property {Float64Array} trace
 * @property {Float64Array} alignment |cos∠(∇L(x), v₁(∇²L(x)))|
 * @property {import("../../dynamics/flow.js").Flow | null} corrected the flow of λ₁ at this η, if that is asked for
 * @property {import("./directions.js").Directions | null} directions in the plane of v₁ and v₂, if they are asked for
 */

const { points: POINTS, fit: FIT } = constants.limiting_flow;
export const { checkpoints: CHECKPOINTS, most_steps: MOST_STEPS, samples: SAMPLES } = constants.limiting_flow;

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
  top_eigenvalue: limitingFlow(network, onGamma, "top_eigenvalue", horizon),
  trace: limitingFlow(network, onGamma, "trace", horizon),
});

/** @typedef {ReturnType<typeof limitingFlows>} Flows */

/**
 * The flow of λ₁ at the learning rate of a run, and with `both` at its radius, too.
 *
 * @param {Fitted} fit @param {Settings} settings @param {"rate" | "both"} kind
 * @param {import("../../dynamics/flow.js").Witness} [witness]
 */
export const correctedFlow = ({ network, onGamma }, { lr, rho, time }, kind, witness) =>
  limitingFlow(network, onGamma, "top_eigenvalue", time, { lr, rho: kind === "both" ? rho : undefined, witness });

/** What a run is followed by beside its own weights. @typedef {Pick<Course, "corrected"> & {planes?: import("../../dynamics/planes.js").Planes}} Company */

/** What a run is compared with beyond the limiting flows, as asked for. @param {Fitted} fit @param {Settings} settings @returns {Company} */
export function companyOf(fit, settings) {
  const { flow, panel, time } = settings;
  if (settings.batch_size !== POINTS) return { corrected: null };
  const planes = panel === "plane" ? createPlanes(time) : undefined;
  const both = planes || flow === "both" ? correctedFlow(fit, settings, "both", planes?.witness) : null;
  const corrected = flow === "limit" ? null : flow === "rate" ? correctedFlow(fit, settings, "rate") : both;
  return { corrected, planes };
}

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
 * @param {Fitted} fit @param {Settings} settings @param {Company} [company]
 * @returns {Generator<Course, void, void>} the same object again and again
 */
export function* train({ network, fitted }, settings, { corrected, planes } = { corrected: null }) {
  const { rho, lr, batch_size, seed } = settings;
  const { dim } = network;
  const steps = checkpoints(settings);
  const column = () => new Float64Array(steps.length).fill(NaN);
  const timeOf = (/** @type {number} */ step) => step * lr * rho * rho;
  const tau = Float64Array.from(steps, timeOf);
  const directions = planes ? createDirections(network, planes) : null;
  const course = {
    steps, tau, done: 0,
    x: new Float64Array(steps.length * dim), top_eigenvalue: column(), trace: column(),
    alignment: column(), corrected, directions: directions?.found ?? null,
  }; // prettier-ignore
  const gamma = createGamma(network);
  const aligned = alignmentOf(network);
  const full = batch_size === POINTS;
  const [x, beside] = [fitted.slice(), new Float64Array(dim)];
  /** @type {Float64Array} */
  let walk = new Float64Array();
  for (let n = 0; ; n++) {
    course.done = n;
    course.x.set(x, n * dim);
    beside.set(x);
    if (gamma.retract(beside)) {
      course.top_eigenvalue[n] = gamma.values[0];
      course.trace[n] = gamma.values.reduce((a, b) => a + b);
    }
    course.alignment[n] = aligned(x);
    directions?.mark(n, tau[n]);
    yield course;
    if (n === CHECKPOINTS) return;
    const count = steps[n + 1] - steps[n];
    if (count === 0) continue;
    const weights = full ? undefined : shuffledBatches(seed, batch_size, steps[n], count);
    const every = directions ? Math.max(1, Math.floor(count / SAMPLES)) : count;
    const options = { start: x, steps: count, every, lr, rho, weights, into: walk };
    const run = simulate(network, full ? "sam" : "mini_batch", options);
    const last = run.records - 1;
    walk = run.x;
    for (let r = 0; r < last; r++) directions?.add(timeOf(steps[n] + r * every), walk, r * dim);
    x.set(walk.subarray(last * dim, (last + 1) * dim));
  }
}

/**
 * The flow that a run is compared with in λ₁ or the trace. @param {Course} course @param {Flows} flows
 * @param {import("../../dynamics/gamma.js").Regularizer} name
 */
export const followed = ({ corrected }, flows, name) => (name === "top_eigenvalue" && corrected) || flows[name];

/**
 * The largest distance of λ₁ (or the trace) to its flow, relative to the flow; NaN where the run leaves Γ, or
 * has no checkpoint while the flow lasts.
 *
 * @param {Course} course @param {Flows} flows @param {import("../../dynamics/gamma.js").Regularizer} name
 */
export function errorOf(course, flows, name) {
  const flow = followed(course, flows, name);
  let most = NaN;
  for (let n = 1; n <= course.done; n++) {
    const value = flowAt(flow, name, course.tau[n]);
    if (course.tau[n] === 0 || Number.isNaN(value)) continue;
    const error = Math.abs(course[name][n] - value) / value;
    if (Number.isNaN(error)) return NaN;
    if (!(error <= most)) most = error;
  }
  return most;
}

/** Which flows a batch of this size is compared with: theorems are about 1 and the full batch. @param {number} size */
export const flowsOf = (size) =>
  /** @type {import("../../dynamics/gamma.js").Regularizer[]} */ (
    size === 1 ? ["trace"] : size === POINTS ? ["top_eigenvalue"] : ["top_eigenvalue", "trace"]
  );
