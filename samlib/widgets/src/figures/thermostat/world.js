// Everything that the figure "Thermostat" computes from its state: the run, and what it does to the gradient.

import { quadratic } from "../../dynamics/landscapes.js";
import { simulate } from "../../dynamics/simulate.js";
import { balance, firstPoint, multiplier, ranks } from "./multiplier.js";

/** @typedef {{eigenvalues: number[], start: number[], norm: number, rho: number, lr: number, steps: number, frame: number}} State */
/** @typedef {ReturnType<typeof createWorld>} World */

/** @param {State} state */
export function createWorld(state) {
  const world = {
    state,
    /** The components of ∇L along the eigenvectors, one step after the other. */
    gradients: new Float64Array(0),
    norms: new Float64Array(0),
    /** The place of each eigenvalue, 1 for the largest. */
    ranks: [1],
    /** The ‖∇L‖ at which m(λ₁) = −1, or NaN. */
    balance: NaN,
    /** The steps, which playing stops at. */
    keys: [0],
    compute,
    dim: () => state.eigenvalues.length,
    /** ‖∇L‖ at the step shown. */
    norm: () => world.norms[state.frame],
    /** m(λ) at the step shown. @param {number} lambda */
    multiplier: (lambda) => multiplier(lambda, world.norm(), state),
    /** |∂ᵢL|/‖∇L‖ at the step shown. @param {number} i */
    share: (i) => Math.abs(world.gradients[state.frame * world.dim() + i]) / world.norm(),
  };

  function compute() {
    const { eigenvalues, start, norm, rho, lr, steps } = state;
    const dim = eigenvalues.length;
    const first = firstPoint(eigenvalues, start, norm);
    const { x } = simulate(quadratic(eigenvalues), "sam", { start: first, steps, lr, rho });
    world.gradients = x.map((value, at) => eigenvalues[at % dim] * value);
    world.norms = Float64Array.from({ length: steps + 1 }, (_, t) => length(world.gradients, t * dim, dim));
    world.ranks = ranks(eigenvalues);
    world.balance = balance(Math.max(...eigenvalues), state);
    if (world.keys.length !== steps + 1) world.keys = Array.from({ length: steps + 1 }, (_, t) => t);
  }
  return world;
}

/** @param {Float64Array} x @param {number} at @param {number} dim */
function length(x, at, dim) {
  let sum = 0;
  for (let i = at; i < at + dim; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}
