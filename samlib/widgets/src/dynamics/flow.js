// The limiting flows of λ₁ and of the trace along Γ of a network (samlib.flow does the same for any loss).

import { createDrift } from "./drift.js";
import { createGamma } from "./gamma.js";
import { towardsTie } from "./ties.js";
import { dot } from "./vectors.js";

/** @typedef {import("./network.js").Network} Network */
/** @typedef {import("./gamma.js").Gamma} Gamma */
/** @typedef {import("./gamma.js").Regularizer} Regularizer what a flow lowers */

/** The intervals into which a flow's time is cut; between their ends one may interpolate. */
export const FLOW_INTERVALS = 240;

/** Eigenvalues have parted where their distance is above so many times that at which they count as tied. */
const PARTED = 2;

/**
 * A limiting flow at evenly spaced times, with the slopes there; NaN from where it ends early. That of λ₁ goes on
 * where λ₁ is tied.
 *
 * @typedef {object} Flow
 * @property {number} horizon the last time
 * @property {Float64Array} top_eigenvalue λ₁
 * @property {Float64Array} trace
 * @property {Record<Regularizer, Float64Array>} rates dλ₁/dτ and dTr/dτ
 * @property {number} end the time until which the flow is known
 * @property {number} lopsided how unequal SAM's two walls were at most, where that counts; 1 is all that can be
 */

// The coefficients of Dormand and Prince's method of order 5 with its error estimate of order 4.
const STAGES = [
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
];
const ERROR = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];

/**
 * What is known where a flow of λ₁ stops to be written down: Γ there, how many eigenvalues are tied, and their mixture Q.
 *
 * @typedef {(n: number, gamma: Gamma, number: number, mixture: Float64Array) => void} Witness
 */

/**
 * dX/dτ = −½ P⊥ ∇S from a point of Γ (eq. 7 for λ₁, Theorem 5.4 for the trace); that of λ₁ with what a finite learning
 * rate (and radius) adds. Where ηλ₁ ≥ 2 there is none.
 *
 * @param {Network} network @param {Float64Array} start on Γ @param {Regularizer} regularizer
 * @param {number} horizon
 * @param {import("./drift.js").Rates & {rtol?: number, witness?: Witness}} [options] rtol of each step, relative to ‖X‖
 * @returns {Flow}
 */
export function limitingFlow(network, start, regularizer, horizon, { lr, rho, rtol = 1e-9, witness } = {}) {
  const { dim } = network;
  const gamma = createGamma(network);
  const drift = createDrift(gamma, { lr, rho });
  const column = () => new Float64Array(FLOW_INTERVALS + 1).fill(NaN);
  const flow = {
    horizon,
    top_eigenvalue: column(),
    trace: column(),
    rates: { top_eigenvalue: column(), trace: column() },
    end: 0,
    lopsided: 0,
  };
  const topmost = regularizer === "top_eigenvalue";
  /** @type {Regularizer} */
  const other = topmost ? "trace" : "top_eigenvalue";
  const slopes = Array.from({ length: 7 }, () => new Float64Array(dim));
  const own = new Float64Array(dim);
  const across = new Float64Array(dim);
  let x = start.slice();
  let next = start.slice();
  const interval = horizon / FLOW_INTERVALS;
  let h = interval;
  const tied = { number: 1, keeps: true };

  /**
   * The velocity. Beside Γ, where stages of a step end up, the same formula continues it smoothly.
   *
   * @param {Float64Array} y @param {Float64Array} out
   */
  const field = (y, out) => {
    gamma.look(y);
    if (topmost) out.set(drift.look(y, tied).velocity);
    else gamma.gradient(y, regularizer, out);
    if (!topmost) for (let i = 0; i < dim; i++) out[i] *= -0.5;
  };

  /** Come back to Γ; write down what is there. Does the flow go on? @param {number} n */
  const note = (n) => {
    if (!gamma.retract(x) || !gamma.regular() || !drift.stable()) return false;
    if (topmost && !settle(gamma, drift, x, tied)) return false;
    field(x, slopes[0]);
    gamma.gradient(x, other, across);
    if (topmost) {
      const { mixture, slope } = drift.look(x, tied);
      own.set(slope);
      witness?.(n, gamma, tied.number, mixture);
    } else gamma.gradient(x, regularizer, own);
    flow.top_eigenvalue[n] = gamma.values[0];
    flow.trace[n] = gamma.values.reduce((a, b) => a + b);
    flow.rates[regularizer][n] = dot(own, slopes[0]);
    flow.rates[other][n] = dot(across, slopes[0]);
    flow.end = n * interval;
    flow.lopsided = drift.lopsided;
    return true;
  };

  for (let n = 0; note(n) && n < FLOW_INTERVALS; n++) {
    let left = interval;
    for (let tries = 0; left > 0; tries++) {
      const step = Math.min(h, left);
      const error = advance(step);
      if (error <= 1) {
        [x, next] = [next, x];
        left = step === left ? 0 : left - step;
        if (left > 0 && topmost && !settle(gamma, drift, x, tied)) return flow;
        if (left > 0) field(x, slopes[0]);
      }
      if (!(error <= 1) || step === h) h = step * Math.min(5, Math.max(0.2, 0.9 * error ** -0.2 || 0.2));
      if (tries > 200) return flow;
    }
  }
  return flow;

  /** One step from x to next; how large is its error, in units of the tolerance? @param {number} step */
  function advance(step) {
    for (let s = 0; s < 6; s++) {
      for (let i = 0; i < dim; i++) {
        let sum = 0;
        for (let r = 0; r <= s; r++) sum += STAGES[s][r] * slopes[r][i];
        next[i] = x[i] + step * sum;
      }
      field(next, slopes[s + 1]);
    }
    let error = 0;
    let size = 0;
    for (let i = 0; i < dim; i++) {
      let sum = 0;
      for (let r = 0; r < 7; r++) sum += ERROR[r] * slopes[r][i];
      error += (step * sum) ** 2;
      size += x[i] * x[i];
    }
    return Math.sqrt(error / size) / rtol;
  }
}

/**
 * See which eigenvalues are tied at x after a step, and move x onto a tie that has begun. Can the flow go on? It
 * cannot here where more than two eigenvalues part.
 *
 * @param {Gamma} gamma @param {import("./drift.js").Drift} drift @param {Float64Array} x
 * @param {import("./drift.js").Tied} tied
 */
function settle(gamma, drift, x, tied) {
  const most = gamma.values.length;
  gamma.look(x);
  const before = { ...tied };
  if (!tied.keeps && gamma.gap(1) > PARTED) Object.assign(tied, { number: 1, keeps: true });
  while (tied.number < most && gamma.gap(tied.number) <= 1) tied.number += 1;
  if (tied.number === 1) return true;
  tied.keeps = drift.firmness(x, tied.number) > 0;
  if (!tied.keeps) return tied.number === 2;
  if (before.number !== tied.number || !before.keeps) climbOntoTie(gamma, x, tied.number);
  return true;
}

/** Newton's steps to where so many eigenvalues are equal. @param {Gamma} gamma @param {Float64Array} x @param {number} number */
function climbOntoTie(gamma, x, number) {
  const step = new Float64Array(x.length);
  for (let n = 0; n < 4; n++) {
    const vectors = Array.from({ length: number }, (_, a) => gamma.eigenvector(a));
    towardsTie(gamma.slopes(x, vectors), gamma.values, number, step);
    for (let i = 0; i < x.length; i++) x[i] += step[i];
    gamma.retract(x);
    gamma.look(x);
  }
}

/**
 * λ₁ or the trace along a flow at any time, by the cubic that has the right values and slopes at the ends of
 * the interval; NaN beyond the flow's end.
 *
 * @param {Flow} flow @param {Regularizer} name @param {number} tau
 */
export function flowAt(flow, name, tau) {
  const values = flow[name];
  const rates = flow.rates[name];
  const width = flow.horizon / FLOW_INTERVALS;
  const n = Math.min(Math.max(Math.floor(tau / width), 0), FLOW_INTERVALS - 1);
  const t = tau / width - n;
  if (t > 1 + 1e-9) return NaN;
  const u = 1 - t;
  return (
    u * u * ((1 + 2 * t) * values[n] + t * width * rates[n]) +
    t * t * ((1 + 2 * u) * values[n + 1] - u * width * rates[n + 1])
  );
}
