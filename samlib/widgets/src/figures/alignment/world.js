// What the figure "Alignment" shows, without drawing anything: state → runs → samples.

import {
  cycleRadius, factor1, factor2, fourDimensional, invariantConditions, probe, quadratic, shares, simulate,
} from "../../dynamics/engine.js"; // prettier-ignore
import { count, number } from "../../shared/format.js";
import { HEAD, keySteps, sampleSteps } from "../../shared/samples.js";

/**
 * @typedef {object} State the synchronized traits
 * @property {"quadratic" | "four-dimensional"} landscape
 * @property {number[]} eigenvalues
 * @property {number[]} start
 * @property {number} rho
 * @property {number} lr
 * @property {number} steps
 * @property {number} frame
 * @property {boolean} zoom
 * @property {boolean} invariant
 */

/**
 * @typedef {object} Config what Python says once: defaults and ranges, so that they are written once
 * @property {Record<string, Partial<State>>} presets
 * @property {Record<string, Record<string, [number, number]>>} sliders
 * @property {Record<string, [number, number]>} limits
 */

/** λ₁ of the four-dimensional loss at the point of Γ nearest to x. @param {number} x1 @param {number} x2 */
export const sharpnessOnManifold = (x1, x2) => 2 * Math.max(factor1(x1, x2), factor2(x1, x2));

/**
 * One rule's run and what is measured along it, at the sampled steps.
 *
 * @typedef {object} Series
 * @property {Float64Array} x every iterate, one after the other
 * @property {Float64Array} buffer
 * @property {Float64Array} angle
 * @property {Float64Array} distance
 * @property {Float64Array} sharpness
 */

/** @returns {Series} */
const emptySeries = () => ({
  x: new Float64Array(0),
  buffer: new Float64Array(0),
  angle: new Float64Array(0),
  distance: new Float64Array(0),
  sharpness: new Float64Array(0),
});

/** @typedef {ReturnType<typeof createWorld>} World */

/**
 * Everything computed from the state.
 *
 * @param {State} initial
 */
export function createWorld(initial) {
  const sam = emptySeries();
  const descent = emptySeries();
  const world = {
    state: initial,
    landscape: quadratic([1, 1]),
    at: probe(quadratic([1, 1])),
    descentAt: probe(quadratic([1, 1])),
    flat: true,
    dim: 2,
    /** The two coordinates of the plane. */
    plane: /** @type {[number, number]} */ ([0, 1]),
    keys: [0],
    /** @type {Int32Array} */
    samples: new Int32Array(1),
    sam,
    descent,
    /** @type {Float64Array} the predicted ‖x‖ at the samples */
    limit: new Float64Array(1),
    /** @type {Float64Array[]} SAM's shares of the gradient by coordinate, at the samples; of the quadratic */
    shares: [],
    /** The direction that the reader points at, or −1. */
    pointed: -1,
    compute,
    /** The gradient's shares along the coordinates. @param {Float64Array} gradient */
    share: (gradient) => shares(gradient, new Float64Array(world.dim)),
    /** Is there an invariant set? */
    hasInvariantSet: () => world.flat && world.state.rho > 0 && world.state.lr * Math.max(...world.state.eigenvalues) < 1,
    /** How many conditions of the invariant set hold at the frame. */
    conditions() {
      const { eigenvalues, lr, rho, frame } = world.state;
      return invariantConditions(eigenvalues, lr, rho)(sam.x, frame * world.dim);
    },
    /** The step at which SAM enters the invariant set; ∞ if it does not. */
    since() {
      if (entered >= 0) return entered;
      const { eigenvalues, lr, rho, steps } = world.state;
      const count = invariantConditions(eigenvalues, lr, rho);
      for (entered = 0; entered <= steps && count(sam.x, entered * world.dim) < world.dim; ) entered++;
      if (entered > steps) entered = Infinity;
      return entered;
    },
    /** How far a point is from the minimizers. @param {ArrayLike<number>} x @param {number} [at] */
    distance(x, at = 0) {
      let sum = 0;
      for (let i = world.flat ? 0 : 2; i < world.dim; i++) sum += x[at + i] * x[at + i];
      return Math.sqrt(sum);
    },
    /** λ₁ at the nearest minimizer. @param {ArrayLike<number>} x @param {number} [at] */
    sharpness(x, at = 0) {
      return world.flat ? Math.max(...world.state.eigenvalues) : sharpnessOnManifold(x[at], x[at + 1]);
    },
    /** How many samples lie at or before the frame. */
    played() {
      const { keys, state } = world;
      let low = 0;
      let high = keys.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (keys[middle] <= state.frame) low = middle + 1;
        else high = middle;
      }
      return low <= HEAD ? low : HEAD + 2 * (low - HEAD);
    },
    /** The curvatures of the loss along the plane's coordinates, where SAM is at the frame. */
    curvatures() {
      const { state, plane } = world;
      if (world.flat) return plane.map((i) => state.eigenvalues[i]);
      const at = state.frame * 4;
      const pair = [2 * factor1(sam.x[at], sam.x[at + 1]), 2 * factor2(sam.x[at], sam.x[at + 1])];
      return pair.every(Number.isFinite) ? pair : [16, 16];
    },
    /** ηρλ₁/(2 − ηλ₁). @param {number} lambda1 */
    radius: (lambda1) => cycleRadius(world.state.lr, world.state.rho, lambda1),
  };
  let shape = "";
  let entered = -1;

  function compute() {
    const { state } = world;
    entered = -1;
    const newShape = JSON.stringify([state.landscape, state.eigenvalues]);
    if (newShape !== shape) {
      shape = newShape;
      world.flat = state.landscape === "quadratic";
      world.landscape = world.flat ? quadratic(state.eigenvalues) : fourDimensional();
      world.dim = world.landscape.dim;
      world.at = probe(world.landscape);
      world.descentAt = probe(world.landscape);
      world.plane = world.flat ? twoLargest(state.eigenvalues) : [2, 3];
    }
    if (world.keys[world.keys.length - 1] !== state.steps) {
      world.keys = keySteps(state.steps);
      world.samples = sampleSteps(world.keys);
    }
    run(sam, "sam");
    run(descent, "gradient-descent");
    const { limit } = (world.limit.length === world.samples.length)
      ? world
      : Object.assign(world, { limit: new Float64Array(world.samples.length) }); // prettier-ignore
    for (let i = 0; i < limit.length; i++) limit[i] = world.radius(sam.sharpness[i]);
    if (world.flat) computeShares();
  }

  function computeShares() {
    const { samples, dim } = world;
    if (world.shares.length !== dim || world.shares[0].length !== samples.length) {
      world.shares = Array.from({ length: dim }, () => new Float64Array(samples.length));
    }
    const gradient = new Float64Array(dim);
    const part = new Float64Array(dim);
    for (let k = 0; k < samples.length; k++) {
      world.landscape.gradient(sam.x, samples[k] * dim, gradient);
      shares(gradient, part);
      for (let i = 0; i < dim; i++) world.shares[i][k] = part[i];
    }
  }

  /** @param {Series} series @param {"sam" | "gradient-descent"} rule */
  function run(series, rule) {
    const { state, samples, dim, at } = world;
    const { start, steps, lr, rho } = state;
    series.x = simulate(world.landscape, rule, { start, steps, lr, rho, into: series.buffer }).x;
    series.buffer = series.x;
    if (series.angle.length !== samples.length) {
      for (const name of /** @type {const} */ (["angle", "distance", "sharpness"])) {
        series[name] = new Float64Array(samples.length);
      }
    }
    const lambda1 = world.sharpness(start);
    for (let i = 0; i < samples.length; i++) {
      const offset = samples[i] * dim;
      series.angle[i] = at.look(series.x, offset).angle;
      series.distance[i] = world.distance(series.x, offset);
      series.sharpness[i] = world.flat ? lambda1 : world.sharpness(series.x, offset);
    }
  }
  return world;
}

/** The indices of the two largest numbers, in the order of the index. @param {number[]} values */
function twoLargest(values) {
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
  return /** @type {[number, number]} */ (order.slice(0, 2).sort((a, b) => a - b));
}

/**
 * One sentence that says what is shown.
 *
 * @param {World} world
 * @returns {string}
 */
export function describe(world) {
  const { state, sam, descent, at, descentAt, flat, dim } = world;
  const now = state.frame * dim;
  const lambda1 = world.sharpness(sam.x, now);
  const distance = world.distance(sam.x, now);
  const product = state.lr * lambda1;
  const opening = `Step ${count(state.frame)}: `;
  const start = world.distance(state.start);
  const end = world.distance(sam.x, state.steps * dim);
  if ((flat && product > 2) || !(end < 1e3 * Math.max(start, 1))) {
    const first = state.lr * world.sharpness(state.start);
    const gone = Number.isFinite(distance) ? `at ‖x‖ = ${number(distance)}` : "beyond all floating-point numbers";
    return `${opening}diverging, because ηλ₁ = ${number(first)} is more than 2; SAM is ${gone}.`;
  }
  const radius = world.radius(lambda1);
  const angle = (/** @type {number} */ a) => (Number.isNaN(a) ? "no angle" : `${degrees(a)}`);
  const where = flat ? `‖x‖ = ${number(distance)}` : `at distance ${number(distance)} from Γ`;
  const limit = Number.isFinite(radius) ? ` (predicted limit ${number(radius)})` : "";
  const unique = flat && state.eigenvalues.filter((v) => v === lambda1).length > 1;
  const turned = unique
    ? "λ₁ is a double eigenvalue, so v₁ is not unique"
    : `SAM’s gradient is ${angle(at.angle)} from v₁`;
  if (flat) {
    const other = Number.isNaN(descentAt.angle)
      ? "gradient descent has arrived"
      : `gradient descent’s is ${angle(descentAt.angle)} from it`;
    return `${opening}${turned} and ${where}${limit}; ${unique ? "gradient descent is at ‖x‖ = " + number(world.distance(descent.x, now)) : other}${state.invariant ? enclosed(world) : ""}.`;
  }
  const rest = number(world.sharpness(descent.x, now), 4);
  return `${opening}${turned}, ${where}${limit}, where λ₁ = ${number(lambda1, 4)}; gradient descent has λ₁ = ${rest}.`;
}

/** Where SAM is with respect to the invariant set. @param {World} world */
function enclosed(world) {
  const { state, dim } = world;
  if (state.rho === 0) return "; with ρ = 0 there is no invariant set";
  if (!world.hasInvariantSet()) return "; there is no invariant set, because ηλ₁ is not below 1";
  const since = world.since();
  if (since <= state.frame) return `; SAM is inside the invariant set since step ${count(since)}`;
  return `; SAM meets ${world.conditions()} of the ${dim} conditions of the invariant set`;
}

/** @param {number} angle */
const degrees = (angle) => (angle < 0.001 ? "less than 0.001°" : `${number(angle, angle < 1 ? 2 : 3)}°`);
