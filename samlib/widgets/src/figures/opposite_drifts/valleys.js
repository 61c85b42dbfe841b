// What the figure "OppositeDrifts" shows, without drawing anything: state → runs and flows.

import { batchWeights } from "../../dynamics/random.js";
import { isStochastic } from "../../dynamics/rules.js";
import { simulate } from "../../dynamics/simulate.js";
import { VALLEY_SLOPES, twoValleys, valleyFlow } from "../../dynamics/two-valleys.js";
import { constants } from "../../schema.js";

/**
 * @typedef {object} State
 * @property {number[]} start x, y₁, y₂
 * @property {number} rho
 * @property {number} lr
 * @property {number} batch_size
 * @property {number} seed
 * @property {number} steps
 * @property {number} frame
 */

/**
 * One method's run.
 *
 * @typedef {object} Course
 * @property {"gradient_descent" | "sam" | "mini_batch" | "one_sam"} name
 * @property {Float64Array} x every iterate, three numbers each
 * @property {Float64Array} along x at the key steps
 * @property {number} lost the first key step, by number, at which it has left the valleys; ∞ if none
 */

/** @typedef {ReturnType<typeof createValleys>} Valleys */

const DIM = 3;

/** Where playing and scrubbing stop, so many of them. */
const KEYS = 400;

/**
 * The runs and flows of a state, computed again by compute().
 *
 * @param {State} state
 */
export function createValleys(state) {
  const landscape = twoValleys();
  /** @type {Course[]} */
  const courses = /** @type {const} */ (["gradient_descent", "sam", "mini_batch", "one_sam"]).map((name) => ({
    name,
    x: new Float64Array(),
    along: new Float64Array(),
    lost: Infinity,
  }));
  /** @type {Map<string, {key: string, weights: Float64Array}>} they depend on neither start, η nor ρ */
  const drawn = new Map();

  /** @param {Course["name"]} name */
  function weightsFor(name) {
    if (!isStochastic(name)) return undefined;
    const { seed, steps, batch_size } = state;
    const size = name === "one_sam" ? 1 : batch_size;
    const key = [seed, steps, size].join();
    let found = drawn.get(name);
    if (found?.key !== key) drawn.set(name, (found = { key, weights: batchWeights(seed, size, steps) }));
    return found.weights;
  }

  const valleys = {
    state,
    courses,
    keys: [0],
    /** Both limiting flows at the key steps; NaN where gradient descent does not arrive. */
    flows: { top_eigenvalue: new Float64Array(), trace: new Float64Array() },
    compute() {
      const { start, lr, rho, steps } = state;
      if (valleys.keys[valleys.keys.length - 1] !== steps) valleys.keys = keySteps(steps);
      const { keys, flows } = valleys;
      for (const course of courses) {
        const weights = weightsFor(course.name);
        // 1-SAM is SAM on batches of one.
        const rule = course.name === "one_sam" ? "mini_batch" : course.name;
        course.x = simulate(landscape, rule, { start, steps, lr, rho, weights, into: course.x }).x;
        course.along = Float64Array.from(keys, (t) => course.x[t * DIM]);
        const lost = keys.findIndex((t) => valleys.diverged(course, t));
        course.lost = lost < 0 ? Infinity : lost;
      }
      // They start on the floor, where gradient descent arrives.
      const [descent] = courses;
      const from = valleys.diverged(descent, steps) ? NaN : descent.x[steps * DIM];
      for (const name of /** @type {const} */ (["top_eigenvalue", "trace"])) {
        flows[name] = Float64Array.from(keys, (t) => valleyFlow(from, VALLEY_SLOPES[name], lr * rho * rho * t));
      }
    },
    /** Where a run is. @param {Course} course @param {number} t */
    at: (course, t = state.frame) => course.x[t * DIM],
    /** Has a run left the valleys by step t? @param {Course} course @param {number} t */
    diverged({ x }, t) {
      const high = Math.hypot(state.start[1], state.start[2]) + state.rho;
      return !(Math.hypot(x[t * DIM + 1], x[t * DIM + 2]) <= constants.opposite_drifts.far * high);
    },
  };
  return valleys;
}

/** Evenly spaced steps from 0 to the last. @param {number} steps */
function keySteps(steps) {
  const stride = Math.ceil(steps / KEYS);
  const keys = [];
  for (let t = 0; t < steps; t += stride) keys.push(t);
  keys.push(steps);
  return keys;
}
