// What the figure "Alignment" shows, without drawing anything: state → runs → samples.

import { CURVATURES, factor1, factor2, fourDimensional } from "../../dynamics/four-dimensional.js";
import { quadratic } from "../../dynamics/landscapes.js";
import { probe, shares } from "../../dynamics/probe.js";
import { simulate } from "../../dynamics/simulate.js";
import { cycleRadius, invariantConditions } from "../../dynamics/two-cycle.js";
import { keySteps, samplesUntil, sampleSteps } from "../../shared/samples.js";

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
  let shape = "";
  let entered = -1;
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
      if (entered < 0) entered = firstInside(world.state, sam.x);
      return entered;
    },
    /** How far a point is from the minimizers. @param {ArrayLike<number>} x @param {number} [at] */
    distance: (x, at = 0) => length(x, at + (world.flat ? 0 : 2), at + world.dim),
    /** λ₁ at the nearest minimizer. @param {ArrayLike<number>} x @param {number} [at] */
    sharpness(x, at = 0) {
      return world.flat ? Math.max(...world.state.eigenvalues) : CURVATURES.top_eigenvalue(x[at], x[at + 1]);
    },
    /** How many samples lie at or before the frame. */
    played: () => samplesUntil(world.keys, world.state.frame),
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

  function compute() {
    const { state } = world;
    entered = -1;
    const newShape = JSON.stringify([state.landscape, state.eigenvalues]);
    if (newShape !== shape) setLandscape(world);
    shape = newShape;
    if (world.keys[world.keys.length - 1] !== state.steps) {
      world.keys = keySteps(state.steps);
      world.samples = sampleSteps(world.keys);
    }
    run(world, sam, "sam");
    run(world, descent, "gradient_descent");
    const count = world.samples.length;
    if (world.limit.length !== count) world.limit = new Float64Array(count);
    for (let i = 0; i < count; i++) world.limit[i] = world.radius(sam.sharpness[i]);
    if (world.flat) world.shares = sharesAlong(world, sam.x);
  }
  return world;
}

/** Make the loss that the state names. @param {World} world */
function setLandscape(world) {
  const { state } = world;
  world.flat = state.landscape === "quadratic";
  world.landscape = world.flat ? quadratic(state.eigenvalues) : fourDimensional();
  world.dim = world.landscape.dim;
  world.at = probe(world.landscape);
  world.descentAt = probe(world.landscape);
  world.plane = world.flat ? twoLargest(state.eigenvalues) : [2, 3];
}

/** @param {World} world @param {Series} series @param {"sam" | "gradient_descent"} rule */
function run(world, series, rule) {
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

/** The gradient's shares along a run, by coordinate, at the samples. @param {World} world @param {Float64Array} x */
function sharesAlong({ landscape, samples, dim, shares: before }, x) {
  const reusable = before.length === dim && before[0].length === samples.length;
  const found = reusable ? before : Array.from({ length: dim }, () => new Float64Array(samples.length));
  const gradient = new Float64Array(dim);
  const part = new Float64Array(dim);
  for (let k = 0; k < samples.length; k++) {
    landscape.gradient(x, samples[k] * dim, gradient);
    shares(gradient, part);
    for (let i = 0; i < dim; i++) found[i][k] = part[i];
  }
  return found;
}

/** The first step at which a run is in the invariant set; ∞ if there is none. @param {State} state @param {Float64Array} x */
function firstInside({ eigenvalues, lr, rho, steps }, x) {
  const dim = eigenvalues.length;
  const count = invariantConditions(eigenvalues, lr, rho);
  for (let t = 0; t <= steps; t++) if (count(x, t * dim) === dim) return t;
  return Infinity;
}

/** √(x_a² + … + x_{b−1}²). @param {ArrayLike<number>} x @param {number} a @param {number} b */
function length(x, a, b) {
  let sum = 0;
  for (let i = a; i < b; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

/** The indices of the two largest numbers, in the order of the index. @param {number[]} values */
function twoLargest(values) {
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
  return /** @type {[number, number]} */ (order.slice(0, 2).sort((a, b) => a - b));
}
