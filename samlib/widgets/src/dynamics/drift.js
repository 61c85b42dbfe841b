// The velocity of the flow of λ₁, also through ties and with what a finite learning rate and radius add to it, as
// in samlib.flow.drift.

import { eigenOf, firmness, keepingMixture, pairsOf, partingMixture } from "./ties.js";
import { lopsidedCycle } from "./two-cycle.js";
import { combined } from "./vectors.js";

/** @typedef {import("./gamma.js").Gamma} Gamma */

/** @typedef {ReturnType<typeof createDrift>} Drift */

/** How many of the largest eigenvalues move as one, and whether the flow keeps them tied. @typedef {{number: number, keeps: boolean}} Tied */

/**
 * At which learning rate the flow is taken, and at which radius, too; without them, in the limits η → 0 and ρ/η → 0.
 *
 * @typedef {{lr?: number, rho?: number}} Rates
 */

/** An eigenvalue of Q below counts as zero. */
const NO_SHARE = 1e-6;

/** @param {Gamma} gamma @param {Rates} rates */
export function createDrift(gamma, { lr, rho }) {
  const drift = {
    /** The largest |ε| of a two-cycle so far: above 1 the second error is known only roughly. */
    lopsided: 0,
    /** Has SAM a two-cycle at this rate where look() was called last? */
    stable: () => !(lr !== undefined && lr * gamma.values[0] >= 2),
    look,
    /** The smallest eigenvalue of the Q that keeps so many eigenvalues tied. @param {Float64Array} x @param {number} number */
    firmness: (x, number) => firmness(look(x, { number, keeps: true }).mixture, number),
  };

  /** How many times as fast as the limiting flow. */
  const speed = () => (lr === undefined ? 1 : (2 / (2 - lr * gamma.values[0])) ** 2);

  /**
   * The velocity at a point where gamma.look() was called, the mixture Q there, and Σ Q_ab T_ab, by which λ₁ changes.
   *
   * @param {Float64Array} x @param {Tied} tied
   */
  function look(x, { number, keeps }) {
    const slopes = gamma.slopes(x, vectorsOf(0, number));
    // As tr Q = 1, the second error may be shared out over all T_aa: then the shortest mixture keeps the tie under it.
    const pulls = rho === undefined ? slopes : withSecondError(x, slopes, number);
    const mixture = mixtureOf(pulls, number, keeps);
    return { velocity: mix(pulls, mixture, number, -speed() / 2), mixture, slope: mix(slopes, mixture, number) };
  }

  /** @param {number} from @param {number} to */
  const vectorsOf = (from, to) => Array.from({ length: to - from }, (_, n) => gamma.eigenvector(from + n));

  /** @param {Float64Array} x @param {Float64Array[]} slopes T_ab @param {number} number */
  function withSecondError(x, slopes, number) {
    const extra = secondError(x, slopes, number);
    const shares = [1, -2 / speed()];
    return [...pairsOf(number)].map(([a, b], p) => (a === b ? combined([slopes[p], extra], shares) : slopes[p]));
  }

  /**
   * What the lopsided two-cycle adds to the velocity: −(2/(2 − ηλ₁)) Σ (2δᵢ/(2 − ηλᵢ)) T₁ᵢ. In a tie, the mean over the
   * eigenvectors of Q.
   *
   * @param {Float64Array} x @param {Float64Array[]} slopes T_ab @param {number} number
   */
  function secondError(x, slopes, number) {
    const total = new Float64Array(x.length);
    const tied = vectorsOf(0, number);
    const others = vectorsOf(number, gamma.values.length);
    const values = [gamma.values[0], ...gamma.values.subarray(number)];
    // Of three eigenvalues and more samlib finds the least Q ⪰ 0; here a share below zero is left out.
    const { values: shares, vectors: turns } = eigenOf(leastMixture(slopes, number), number);
    for (const [n, share] of shares.entries()) {
      if (share < NO_SHARE) continue;
      const v = combined(tied, turns[n]);
      const bend = gamma.thirds(x, v, [v, ...others]);
      const cycle = lopsidedCycle(values, bend, /** @type {number} */ (lr), /** @type {number} */ (rho));
      drift.lopsided = Math.max(drift.lopsided, Math.abs(cycle.lopsidedness));
      const slope = gamma.slope(x, v, combined(others, cycle.swing.map((d, i) => (2 * d) / (2 - Number(lr) * values[i + 1])))); // prettier-ignore
      for (let i = 0; i < total.length; i++) total[i] -= (share * cycle.reach * slope[i]) / Number(rho);
    }
    return total;
  }

  return drift;
}

/** The shortest mixture of those that keep a tie, or of all. @param {Float64Array[]} slopes @param {number} k @param {boolean} keeps */
function mixtureOf(slopes, k, keeps) {
  if (k === 1) return Float64Array.of(1);
  return keeps ? keepingMixture(slopes, k) : partingMixture(slopes);
}

/** The shortest mixture. @param {Float64Array[]} slopes @param {number} k */
function leastMixture(slopes, k) {
  const keeping = mixtureOf(slopes, k, true);
  return k === 2 && firmness(keeping, k) < 0 ? partingMixture(slopes) : keeping;
}

/** Σ Q_ab T_ab times a number. @param {Float64Array[]} slopes @param {Float64Array} mixture @param {number} k @param {number} [times] */
function mix(slopes, mixture, k, times = 1) {
  const shares = [...pairsOf(k)].map(([a, b]) => times * (a === b ? 1 : 2) * mixture[a * k + b]);
  return combined(slopes, shares);
}
