// Everything that the figure "Rescaling" computes from its state, from the rescaled weights themselves.

import { randomWords } from "../../dynamics/random.js";
import { constants } from "../../schema.js";
import { largestEigenpair } from "./lanczos.js";
import { DIM, answers, hessianAt, lossAlong, outputs, readTrained, scaling, traceAt } from "./network.js";

const { reach: REACH, places: PLACES } = constants.rescaling;

/** Where the loss is looked at, densest at 0. */
export const DISTANCES = Float64Array.from({ length: PLACES }, (_, k) => REACH * ((2 * k) / (PLACES - 1) - 1) ** 3);

/** @typedef {{alpha: number}} State */
/** @typedef {{top: number, trace: number, profile: Float64Array, outputs: Float64Array, answers: number[]}} Measured */
/** @typedef {ReturnType<typeof createWorld>} World */

/** @param {State} state @param {any} stored what Python sends */
export function createWorld(state, stored) {
  const trained = readTrained(stored);
  const opening = measure(trained, 1);
  const world = {
    state,
    trained,
    /** At α = 1. */
    opening,
    now: opening,
    /** By how much an output differs from that at α = 1, at most. */
    change: () => world.now.outputs.reduce((most, f, i) => Math.max(most, Math.abs(f - opening.outputs[i])), 0),
    /** How many answers are as at α = 1. */
    same: () => world.now.answers.filter((answer, i) => answer === opening.answers[i]).length,
    compute: () => void (world.now = state.alpha === 1 ? opening : measure(trained, state.alpha)),
  };
  return world;
}

/**
 * All that is shown of the network rescaled by α.
 *
 * @param {import("./network.js").Trained} trained @param {number} alpha
 * @param {import("./lanczos.js").Effort} [effort]
 * @returns {Measured}
 */
export function measure({ weights, learned, shown }, alpha, effort) {
  const factors = scaling(alpha);
  const x = weights.map((weight, i) => weight * factors[i]);
  // What is flat in one layer is steep in the other: the search begins in the steep one.
  const start = Float64Array.from(randomWords(0, 0, DIM), (word, i) => (word / 2 ** 31 - 1) / factors[i]);
  const { value, vector } = largestEigenpair(hessianAt(x, learned), start, effort);
  const ahead = lossAlong(x, vector, [REACH, -REACH], learned);
  const v = ahead[0] >= ahead[1] ? vector : vector.map((entry) => -entry);
  const all = outputs(x, shown.inputs);
  return {
    top: value,
    trace: traceAt(x, learned),
    profile: lossAlong(x, v, DISTANCES, learned),
    outputs: all,
    answers: answers(all),
  };
}
