// Γ of a network, and the limiting flows of λ₁ and of the trace along it (samlib.flow does the same for any
// loss). Everything needs the M outputs and their Jacobian only, which is why it is quick.

import { topEigenpair } from "./eigen.js";
import { firmness, keepingMixture, pairsOf, partingMixture, towardsTie } from "./ties.js";

/** @typedef {import("./network.js").Network} Network */
/** @typedef {"top_eigenvalue" | "trace"} Regularizer what a flow lowers */

/** The intervals into which a flow's time is cut; between their ends one may interpolate. */
export const FLOW_INTERVALS = 240;

/** Eigenvalues count as tied where their distance falls below so much of λ₁, as in samlib. */
const GAP = 1e-4;

/** They have parted where it is above so many times that. */
const PARTED = 2;

/** Below this share of λ₁ an eigenvalue counts as zero: the rank has fallen (Assumption 3.3). */
const ZERO = 1e-8;

/** @param {Network} network */
export function createGamma({ dim, points, jacobian, bend }) {
  const residuals = new Float64Array(points);
  const rows = new Float64Array(points * dim);
  const gram = new Float64Array(points * points);
  const basis = new Float64Array(points * points);
  const top = new Float64Array(points);
  const shares = new Float64Array(points);
  const slope = new Float64Array(dim);
  const direction = new Float64Array(dim);
  const ones = new Float64Array(points).fill(1);
  const one = new Float64Array(points);
  const order = Int32Array.from({ length: points }, (_, k) => k);

  const gamma = {
    /** The eigenvalues of JJᵀ/M where look() was called last, largest first. */
    values: new Float64Array(points),
    /** Jᵀu of the largest one, which is v₁ but for its length. */
    direction,
    look,
    retract,
    gradient,
    slopes,
    /** Has the Hessian its full rank where look() was called last? */
    regular: () => gamma.values[points - 1] > ZERO * gamma.values[0],
    /** How far apart the first so many eigenvalues and the next are, in units of GAP λ₁. @param {number} number */
    gap: (number) => (gamma.values[number - 1] - gamma.values[number]) / (GAP * gamma.values[0]),
  };

  /** Everything about the outputs at x. @param {Float64Array} x */
  function look(x) {
    jacobian(x, residuals, rows);
    for (let k = 0; k < points; k++) {
      for (let l = 0; l <= k; l++) {
        let sum = 0;
        for (let i = 0; i < dim; i++) sum += rows[k * dim + i] * rows[l * dim + i];
        gram[k * points + l] = gram[l * points + k] = sum / points;
      }
    }
    topEigenpair(gram, basis, top);
    order.sort((a, b) => gram[b * points + b] - gram[a * points + a]);
    order.forEach((k, n) => (gamma.values[n] = gram[k * points + k]));
    combine(top, direction);
  }

  /** Σ_k c_k ∇f_k. @param {ArrayLike<number>} c @param {Float64Array} out */
  function combine(c, out) {
    out.fill(0);
    for (let k = 0; k < points; k++) {
      for (let i = 0; i < dim; i++) out[i] += c[k] * rows[k * dim + i];
    }
  }

  /** The c with JJᵀ c = r, by the eigenvectors that look() has found. @param {ArrayLike<number>} r */
  function solve(r) {
    const c = new Float64Array(points);
    for (let e = 0; e < points; e++) {
      let along = 0;
      for (let k = 0; k < points; k++) along += basis[k * points + e] * r[k];
      along /= gram[e * points + e] * points;
      for (let k = 0; k < points; k++) c[k] += along * basis[k * points + e];
    }
    return c;
  }

  /**
   * Move x to the point of Γ beside it, by Newton's steps for f(s_k) = y_k that are as short as can be.
   *
   * @param {Float64Array} x
   * @returns {boolean} is it there? (look() has been called at the end)
   */
  function retract(x) {
    let before = Infinity;
    for (let n = 0; n < 30; n++) {
      look(x);
      combine(solve(residuals), slope);
      let [step, size] = [0, 0];
      for (let i = 0; i < dim; i++) {
        x[i] -= slope[i];
        step += slope[i] * slope[i];
        size += x[i] * x[i];
      }
      if (!(step < Infinity)) return false;
      if (step <= 1e-26 * size) return true;
      if (n > 5 && step > before) return false;
      before = step;
    }
    return false;
  }

  /**
   * P⊥ ∇S at a point of Γ where look() was called, for S = λ₁ or the trace:
   * ∇λ₁ = (2/M) Σ_k u_k ∇²f_k Jᵀu along Γ, and ∇Tr = (2/M) Σ_k ∇²f_k ∇f_k.
   *
   * @param {Float64Array} x @param {Regularizer} regularizer @param {Float64Array} out
   */
  function gradient(x, regularizer, out) {
    if (regularizer === "top_eigenvalue") bend(x, top, direction, out);
    else bend(x, ones, rows, out);
    flatten(out);
    for (let i = 0; i < dim; i++) out[i] *= 2 / points;
  }

  /**
   * T_ab = P⊥ ∂²(∇L)[v_a, v_b], a ≤ b, of the first eigenvectors at a point of Γ where look() was called:
   * (1/M) Σ_k [⟨∇f_k, v_b⟩ ∇²f_k v_a + ⟨∇f_k, v_a⟩ ∇²f_k v_b] along Γ.
   *
   * @param {Float64Array} x @param {number} number
   */
  function slopes(x, number) {
    const across = new Float64Array(dim);
    return [...pairsOf(number)].map(([a, b]) => {
      const out = new Float64Array(dim);
      for (const [from, to] of [[a, b], [b, a]]) {
        // v = Jᵀu/√(Mλ) and ⟨∇f_k, v⟩ = √(Mλ) u_k.
        const size = Math.sqrt(gamma.values[to] / gamma.values[from]);
        for (let k = 0; k < points; k++) one[k] = basis[k * points + order[from]];
        combine(one, direction);
        for (let k = 0; k < points; k++) one[k] = size * basis[k * points + order[to]];
        bend(x, one, direction, across);
        for (let i = 0; i < dim; i++) out[i] += across[i] / points;
      }
      flatten(out);
      return out;
    });
  }

  /** P⊥ in place. @param {Float64Array} out */
  function flatten(out) {
    for (let k = 0; k < points; k++) {
      shares[k] = 0;
      for (let i = 0; i < dim; i++) shares[k] += rows[k * dim + i] * out[i];
    }
    combine(solve(shares), slope);
    for (let i = 0; i < dim; i++) out[i] -= slope[i];
  }

  return gamma;
}

/** @typedef {ReturnType<typeof createGamma>} Gamma */

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
 * dX/dτ = −½ P⊥ ∇S from a point of Γ (eq. 7 for λ₁, Theorem 5.4 for the trace).
 *
 * @param {Network} network @param {Float64Array} start on Γ @param {Regularizer} regularizer
 * @param {number} horizon @param {number} [rtol] of each step, relative to ‖X‖
 * @returns {Flow}
 */
export function limitingFlow(network, start, regularizer, horizon, rtol = 1e-9) {
  const { dim } = network;
  const gamma = createGamma(network);
  const column = () => new Float64Array(FLOW_INTERVALS + 1).fill(NaN);
  const flow = {
    horizon,
    top_eigenvalue: column(),
    trace: column(),
    rates: { top_eigenvalue: column(), trace: column() },
    end: 0,
  };
  /** @type {Regularizer} */
  const other = regularizer === "trace" ? "top_eigenvalue" : "trace";
  const slopes = Array.from({ length: 7 }, () => new Float64Array(dim));
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
    if (tied.number === 1) gamma.gradient(y, regularizer, out);
    else shortest(gamma.slopes(y, tied.number), tied, out);
    for (let i = 0; i < dim; i++) out[i] *= -0.5;
  };

  /** Come back to Γ; write down what is there. Does the flow go on? @param {number} n */
  const note = (n) => {
    if (!gamma.retract(x) || !gamma.regular()) return false;
    if (regularizer === "top_eigenvalue" && !settle(gamma, x, tied)) return false;
    field(x, slopes[0]);
    gamma.gradient(x, other, across);
    let [own, rest] = [0, 0];
    for (let i = 0; i < dim; i++) {
      own -= 2 * slopes[0][i] * slopes[0][i];
      rest += slopes[0][i] * across[i];
    }
    flow.top_eigenvalue[n] = gamma.values[0];
    flow.trace[n] = gamma.values.reduce((a, b) => a + b);
    flow.rates[regularizer][n] = own;
    flow.rates[other][n] = rest;
    flow.end = n * interval;
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
        if (left > 0 && regularizer === "top_eigenvalue" && !settle(gamma, x, tied)) return flow;
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

/** How many of the largest eigenvalues move as one, and whether the flow keeps them tied. @typedef {{number: number, keeps: boolean}} Tied */

/**
 * Σ Q_ab T_ab of the shortest mixture. @param {Float64Array[]} slopes @param {Tied} tied @param {Float64Array} out
 */
function shortest(slopes, { number, keeps }, out) {
  const mixture = keeps ? keepingMixture(slopes, number) : partingMixture(slopes);
  out.fill(0);
  [...pairsOf(number)].forEach(([a, b], p) => {
    const share = (a === b ? 1 : 2) * mixture[a * number + b];
    for (let i = 0; i < out.length; i++) out[i] += share * slopes[p][i];
  });
}

/**
 * See which eigenvalues are tied at x after a step, and move x onto a tie that has begun. Can the flow go on? It
 * cannot here where more than two eigenvalues part.
 *
 * @param {Gamma} gamma @param {Float64Array} x @param {Tied} tied
 */
function settle(gamma, x, tied) {
  const most = gamma.values.length;
  gamma.look(x);
  const before = { ...tied };
  if (!tied.keeps && gamma.gap(1) > PARTED) Object.assign(tied, { number: 1, keeps: true });
  while (tied.number < most && gamma.gap(tied.number) <= 1) tied.number += 1;
  if (tied.number === 1) return true;
  const firm = firmness(keepingMixture(gamma.slopes(x, tied.number), tied.number), tied.number);
  tied.keeps = firm > 0;
  if (!tied.keeps) return tied.number === 2;
  if (before.number !== tied.number || !before.keeps) climbOntoTie(gamma, x, tied.number);
  return true;
}

/** Newton's steps to where so many eigenvalues are equal. @param {Gamma} gamma @param {Float64Array} x @param {number} number */
function climbOntoTie(gamma, x, number) {
  const step = new Float64Array(x.length);
  for (let n = 0; n < 4; n++) {
    towardsTie(gamma.slopes(x, number), gamma.values, number, step);
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
