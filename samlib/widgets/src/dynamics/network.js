// A small network, its minimizers Γ, and the limiting flows along them, in plain float64 JavaScript.
//
// Mirrors samlib.landscapes.TanhNetwork, and samlib.flow by formulas that hold on Γ. There the residuals are
// zero, so that ∇²L = JᵀJ/M with the Jacobian J of the M outputs: its non-zero eigenvalues are those of the
// M × M matrix JJᵀ/M, and the eigenvector that belongs to u is Jᵀu/‖Jᵀu‖.

import { constants } from "../schema.js";
import { mersenneTwister } from "./mersenne.js";
import { tanh } from "./tanh.js";

/** @typedef {ReturnType<typeof tanhNetwork>} Network */

/** The network of samlib.problems.interpolating_network(): its inputs, hidden units and data points. */
const { features: FEATURES, hidden: HIDDEN, points: POINTS } = constants.limiting_flow;

/**
 * The network, data and random weights that samlib.problems.interpolating_network(seed=seed) gives.
 *
 * @param {number} seed
 */
export function interpolatingNetwork(seed) {
  const random = mersenneTwister(seed);
  const inputs = random.normals(POINTS * FEATURES);
  const targets = random.normals(POINTS);
  return { network: tanhNetwork(inputs, targets, HIDDEN), weights: random.normals(HIDDEN * (FEATURES + 2)) };
}

/**
 * L(x) = (1/2M) Σ_k (f(s_k; x) − y_k)² with f(s; x) = aᵀ tanh(W s + b)/√hidden; x is W, row by row, then b,
 * then a.
 *
 * @param {Float64Array} inputs the s_k, one after the other @param {Float64Array} targets the y_k
 * @param {number} hidden
 */
export function tanhNetwork(inputs, targets, hidden) {
  const points = targets.length;
  const features = inputs.length / points;
  const biases = hidden * features;
  const outputs = hidden * (features + 1);
  const dim = hidden * (features + 2);
  const root = Math.sqrt(hidden);
  const t = new Float64Array(hidden);
  const dt = new Float64Array(hidden);

  /**
   * tanh of the hidden units, into t; returns f·√hidden.
   *
   * @param {ArrayLike<number>} x @param {number} at @param {ArrayLike<number>} s @param {number} row
   */
  function forward(x, at, s, row) {
    let output = 0;
    for (let j = 0; j < hidden; j++) {
      let z = x[at + biases + j];
      for (let i = 0; i < features; i++) z = z + x[at + j * features + i] * s[row + i];
      t[j] = tanh(z);
      output = output + x[at + outputs + j] * t[j];
    }
    return output;
  }

  /**
   * Add q·∇f·√hidden to out; forward() has been called at this input.
   *
   * @param {ArrayLike<number>} x @param {number} at @param {number} row @param {number} q
   * @param {Float64Array} out @param {number} to
   */
  function backward(x, at, row, q, out, to) {
    for (let j = 0; j < hidden; j++) {
      const s = q * x[at + outputs + j] * (1 - t[j] * t[j]);
      for (let i = 0; i < features; i++) out[to + j * features + i] += s * inputs[row + i];
      out[to + biases + j] += s;
      out[to + outputs + j] += q * t[j];
    }
  }

  /**
   * Add (q ∇²f·√hidden) v + dq ∇f·√hidden to out. @param {ArrayLike<number>} x @param {number} at
   * @param {ArrayLike<number>} v @param {number} from where v begins @param {number} row
   * @param {number} q @param {(doutput: number) => number} dqOf of the change of f·√hidden along v
   * @param {Float64Array} out
   */
  function curve(x, at, v, from, row, q, dqOf, out) {
    forward(x, at, inputs, row);
    let doutput = 0;
    for (let j = 0; j < hidden; j++) {
      let dz = v[from + biases + j];
      for (let i = 0; i < features; i++) dz = dz + v[from + j * features + i] * inputs[row + i];
      dt[j] = (1 - t[j] * t[j]) * dz;
      doutput = doutput + v[from + outputs + j] * t[j] + x[at + outputs + j] * dt[j];
    }
    const dq = dqOf(doutput);
    for (let j = 0; j < hidden; j++) {
      const slope = 1 - t[j] * t[j];
      let ds = (dq * x[at + outputs + j] + q * v[from + outputs + j]) * slope;
      ds = ds - 2 * q * x[at + outputs + j] * t[j] * dt[j];
      for (let i = 0; i < features; i++) out[j * features + i] += ds * inputs[row + i];
      out[biases + j] += ds;
      out[outputs + j] += dq * t[j] + q * dt[j];
    }
  }

  /** @param {number} k @param {number} output f·√hidden at point k */
  const residual = (k, output) => output / root - targets[k];
  /** @param {ArrayLike<number>} x @param {number} at @param {number} k */
  const residualAt = (x, at, k) => residual(k, forward(x, at, inputs, k * features));
  const ones = new Float64Array(points).fill(1);

  const network = {
    name: "tanh-network",
    dim,
    terms: points,
    points,
    features,
    inputs,
    targets,
    /** f(s; x). @param {ArrayLike<number>} x @param {ArrayLike<number>} s */
    output: (x, s) => forward(x, 0, s, 0) / root,
    /** @param {Float64Array} x */
    value(x) {
      let sum = 0;
      for (let k = 0; k < points; k++) sum += residualAt(x, 0, k) ** 2 / (2 * points);
      return sum;
    },
    /** @param {Float64Array} x @param {number} at @param {Float64Array} out */
    gradient: (x, at, out) => network.weightedGradient(x, at, out, ones, 0),
    /**
     * @param {Float64Array} x @param {number} at @param {Float64Array} out
     * @param {ArrayLike<number>} w @param {number} first
     */
    weightedGradient(x, at, out, w, first) {
      out.fill(0);
      for (let k = 0; k < points; k++) {
        if (w[first + k] === 0) continue;
        const q = (w[first + k] * residualAt(x, at, k)) / (points * root);
        backward(x, at, k * features, q, out, 0);
      }
    },
    /** @param {Float64Array} x @param {number} at @param {Float64Array} v @param {Float64Array} out */
    hessianVectorProduct(x, at, v, out) {
      out.fill(0);
      for (let k = 0; k < points; k++) {
        const q = residualAt(x, at, k) / (points * root);
        curve(x, at, v, 0, k * features, q, (doutput) => doutput / (points * hidden), out);
      }
    },
    /** Row-major dim × dim. @param {Float64Array} x @param {Float64Array} out */
    hessian(x, out) {
      const v = new Float64Array(dim);
      for (let i = 0; i < dim; i++) {
        v[i] = 1;
        network.hessianVectorProduct(x, 0, v, out.subarray(i * dim, (i + 1) * dim));
        v[i] = 0;
      }
    },
    /**
     * The residuals f(s_k) − y_k and their Jacobian, row by row.
     *
     * @param {Float64Array} x @param {Float64Array} residuals @param {Float64Array} jacobian
     */
    jacobian(x, residuals, jacobian) {
      jacobian.fill(0);
      for (let k = 0; k < points; k++) {
        residuals[k] = residualAt(x, 0, k);
        backward(x, 0, k * features, 1 / root, jacobian, k * dim);
      }
    },
    /**
     * Σ_k c_k ∇²f_k v_k. @param {Float64Array} x @param {ArrayLike<number>} c
     * @param {Float64Array} v the v_k, one after the other, or one for all @param {Float64Array} out
     */
    bend(x, c, v, out) {
      out.fill(0);
      const stride = v.length > dim ? dim : 0;
      for (let k = 0; k < points; k++) {
        if (c[k] !== 0) curve(x, 0, v, k * stride, k * features, c[k] / root, () => 0, out);
      }
    },
  };
  return network;
}
