// What is measured of a run, and when: λ₁ at every look, what is dear and shown on request less often.

import { edgeOf } from "./methods.js";

/** @typedef {import("../../training/api.js").Measurement} Measurement */
/** @typedef {import("../../training/api.js").Progress} Progress */

/** For which panels the ten largest eigenvalues are needed. */
const TEN = ["spectrum", "alignment"];

/** To which relative error eigenvalues are computed, at every look and where it may take long. */
const ROUGH = 0.01;
const FINE = 0.003;

/** The loss along v₁ is shown as far as so many radii, at so many points. */
export const REACH = 2.5;
const POINTS = 51;

/** SAM's radius may be 0, a picture of the loss needs some room (a length in the space of weights). */
export const LEAST_REACH = 0.25;

/**
 * What to ask the engine for.
 *
 * @param {import("./figure.js").State} state @param {boolean} long may it take long?
 * @returns {import("../../training/api.js").Wish}
 */
export function wantedOf({ panels, rho }, long) {
  if (!long) return { eigenvalues: 1, rtol: ROUGH };
  const shows = (/** @type {string} */ name) => panels.includes(name);
  return {
    eigenvalues: TEN.some(shows) ? 10 : 1,
    rtol: FINE,
    trace: shows("trace"),
    profile: shows("profile") ? { reach: Math.max(REACH * rho, LEAST_REACH), points: POINTS } : undefined,
  };
}

/**
 * What a look tells of a run: where its steps have brought it, and what was measured there.
 *
 * @param {Progress} progress @param {Measurement | undefined} found nothing where the run has diverged
 * @param {import("../../training/api.js").TrainingRule} rule
 * @returns {import("./history.js").Reading}
 */
export function readingOf(progress, found, { name, lr, rho = 0 }) {
  const { loss, gradientNorm, trainAccuracy: train, testAccuracy: test } = progress;
  if (!found) return { loss, norm: NaN, train, test, top: NaN, edge: NaN };
  const ten = found.eigenvalues.length === 10;
  return {
    loss, norm: gradientNorm, train, test,
    top: found.eigenvalues[0] ?? NaN,
    edge: edgeOf(name, { lr, rho }, gradientNorm),
    alignment: found.alignment,
    ...(ten && { eigenvalues: [...found.eigenvalues], share: found.alignmentTop }),
    ...(found.trace && { trace: found.trace.value, traceError: found.trace.error }),
  }; // prettier-ignore
}
