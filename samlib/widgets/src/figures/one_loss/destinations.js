// What the figure "OneLossThreeDestinations" shows, without drawing anything: three runs from one start on
// the four-dimensional loss, the curvatures along them, and the limiting flows that they should follow.

import { factor1, factor2, fourDimensional } from "../../dynamics/four-dimensional.js";
import { componentDraws } from "../../dynamics/random.js";
import { simulate } from "../../dynamics/simulate.js";
import { constants } from "../../schema.js";
import { keySteps, samplesUntil, sampleSteps } from "../../shared/samples.js";

/**
 * @typedef {object} State the synchronized traits
 * @property {number[]} start
 * @property {number} rho
 * @property {number} lr
 * @property {number} steps
 * @property {number} seed
 * @property {number} frame
 * @property {number} turn
 */

/** @typedef {"sam" | "one_sam" | "ascent_loss_descent"} Method */
/** @typedef {"top_eigenvalue" | "smallest_nonzero_eigenvalue" | "trace"} Curvature λ₁, λ_M and Tr ∇²L, on Γ */

/** @type {Record<Method, {descends: Curvature, x: [number, number]}>} what each method's limiting flow descends, and where on Γ that is least */
export const DESTINATIONS = /** @type {any} */ (constants.destinations);

export const METHODS = /** @type {Method[]} */ (Object.keys(DESTINATIONS));

/**
 * How fast the flow dX/dτ = −½∇ of a curvature gets to its destination where F₁ > F₂: each coordinate by itself, as
 * exp(−rate·τ).
 *
 * @type {Record<Curvature, [number, number]>}
 */
const RATES = { top_eigenvalue: [2, 12], smallest_nonzero_eigenvalue: [8, 2], trace: [10, 14] };

/** @typedef {ReturnType<typeof createDestinations>} Destinations */

/** @param {State} state */
export function createDestinations(state) {
  const loss = fourDimensional();
  const runs = /** @type {Record<Method, {x: Float64Array, buffer: Float64Array}>} */ (
    Object.fromEntries(METHODS.map((name) => [name, { x: new Float64Array(4), buffer: new Float64Array(0) }]))
  );
  let draws = componentDraws(0, 0);
  let drawn = "";
  const world = {
    state,
    runs,
    keys: [0],
    /** @type {Int32Array} */
    samples: new Int32Array(1),
    /** Φ(start), where gradient flow arrives. @type {[number, number]} */
    landing: /** @type {[number, number]} */ ([0, 0]),
    compute() {
      const { start, steps, lr, rho, seed } = state;
      if (world.keys[world.keys.length - 1] !== steps) {
        world.keys = keySteps(steps);
        world.samples = sampleSteps(world.keys);
      }
      if (drawn !== `${seed} ${steps}`) {
        drawn = `${seed} ${steps}`;
        draws = componentDraws(seed, steps);
      }
      for (const method of METHODS) {
        const run = runs[method];
        run.x = simulate(loss, method, { start, steps, lr, rho, draws, into: run.buffer }).x;
        run.buffer = run.x;
      }
      world.landing = project(start);
    },
    /** How many samples lie at or before the frame. */
    played: () => samplesUntil(world.keys, state.frame),
    /** Rescaled time τ = ηρ²t. @param {number} t */
    time: (t) => state.lr * state.rho * state.rho * t,
    /** Where the limiting flow of a method is at τ; NaN from where F₂ ≥ F₁ on. @param {Method} method @param {number} tau */
    flow: (method, tau) => flowFrom(world.landing, method, tau),
    /** Has a run left for good? @param {Method} method */
    diverged(method) {
      const end = 4 * state.steps;
      const { x } = runs[method];
      const size = Math.hypot(x[end], x[end + 1], x[end + 2], x[end + 3]);
      return !(size < 1e3 * Math.max(1, Math.hypot(...state.start)));
    },
  };
  return world;
}

/**
 * A method's limiting flow dX/dτ = −½∇λ from a point of Γ, exactly; NaN once it has come to where F₂ ≥ F₁.
 *
 * @param {[number, number]} from @param {Method} method @param {number} tau
 * @returns {[number, number]}
 */
export function flowFrom(from, method, tau) {
  const { x, descends } = DESTINATIONS[method];
  const rates = RATES[descends];
  const at = (/** @type {number} */ t) =>
    /** @type {[number, number]} */ ([0, 1].map((i) => x[i] + (from[i] - x[i]) * Math.exp(-rates[i] * t)));
  const here = at(tau);
  return factor1(...here) > factor2(...here) && factor1(...from) > factor2(...from) ? here : [NaN, NaN];
}

/**
 * Φ(x), where gradient flow from x arrives on Γ, by the classical Runge–Kutta method.
 *
 * @param {number[]} start
 * @returns {[number, number]}
 */
export function project(start) {
  const loss = fourDimensional();
  const x = Float64Array.from(start);
  const probe = new Float64Array(4);
  const k = [0, 1, 2, 3].map(() => new Float64Array(4));
  for (let n = 0; n < 20_000; n++) {
    const size = Math.hypot(x[2], x[3]);
    if (!(size > 1e-9)) break;
    // The stiffest rate of the linearized flow is λ₁; where x₃ and x₄ are large, x₁ and x₂ move fast, too.
    const rate = 2 * Math.max(factor1(x[0], x[1]), factor2(x[0], x[1])) + 24 * size * size;
    const h = 0.1 / rate;
    for (let stage = 0; stage < 4; stage++) {
      const part = stage === 0 ? 0 : stage === 3 ? h : h / 2;
      for (let i = 0; i < 4; i++) probe[i] = x[i] - (stage ? part * k[stage - 1][i] : 0);
      loss.gradient(probe, 0, k[stage]);
    }
    for (let i = 0; i < 4; i++) x[i] -= (h / 6) * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
  }
  return [x[0], x[1]];
}
