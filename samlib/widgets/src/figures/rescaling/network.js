// The network of the figure "Rescaling": 64 inputs, units with ReLU, 10 outputs, half the squared error as its loss.
// Its weights are one vector, as in samlib: W₁, b₁, W₂, b₂, matrices row by row.

import { constants } from "../../schema.js";

const { inputs: INPUTS, hidden: HIDDEN, outputs: OUTPUTS, white: WHITE } = constants.rescaling;
const B1 = HIDDEN * INPUTS;
/** Where the weights of the second layer begin, and its biases. */
export const W2 = B1 + HIDDEN;
export const B2 = W2 + OUTPUTS * HIDDEN;
export const DIM = B2 + OUTPUTS;

/** @typedef {ReturnType<typeof readTrained>} Trained */

/** @param {string} text in base64 */
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/**
 * The network that Python sends, the digits that it has learned, and those that are shown.
 *
 * @param {{weights: string, pixels: string, labels: string, new: number}} stored
 */
export function readTrained({ weights, pixels, labels, new: shown }) {
  const numbers = new DataView(bytesOf(weights).buffer);
  const images = Float64Array.from(bytesOf(pixels), (value) => value / WHITE);
  const all = images.length / INPUTS;
  const rows = all - shown;
  const mean = new Float64Array(INPUTS);
  for (let at = 0; at < rows * INPUTS; at++) mean[at % INPUTS] += images[at] / rows;
  const centred = images.map((value, at) => value - mean[at % INPUTS]);
  const targets = Array.from(labels, Number);
  return {
    weights: Float64Array.from({ length: DIM }, (_, i) => numbers.getFloat32(4 * i, true)),
    learned: { inputs: centred.subarray(0, rows * INPUTS), targets: targets.slice(0, rows) },
    shown: { inputs: centred.subarray(rows * INPUTS), targets: targets.slice(rows) },
    images: images.subarray(rows * INPUTS),
  };
}

/** The diagonal of T: α for W₁ and b₁, 1/α for W₂, 1 for b₂. @param {number} alpha */
export const scaling = (alpha) => Float64Array.from({ length: DIM }, (_, i) => (i < W2 ? alpha : i < B2 ? 1 / alpha : 1));

/**
 * What goes into the units, W₁z + b₁, row after row; 0 for those that are off in `on`.
 *
 * @param {Float64Array} x @param {Float64Array} inputs @param {Float64Array} [on]
 */
function preactivations(x, inputs, on) {
  const rows = inputs.length / INPUTS;
  const a = new Float64Array(rows * HIDDEN);
  for (let n = 0; n < rows; n++) {
    for (let j = 0; j < HIDDEN; j++) {
      if (on && on[n * HIDDEN + j] === 0) continue;
      let sum = x[B1 + j];
      for (let k = 0; k < INPUTS; k++) sum += x[j * INPUTS + k] * inputs[n * INPUTS + k];
      a[n * HIDDEN + j] = sum;
    }
  }
  return a;
}

/** W₂h + b₂ of a row. @param {Float64Array} x @param {Float64Array} h @param {number} at @param {Float64Array} out */
function readOut(x, h, at, out) {
  for (let o = 0; o < OUTPUTS; o++) {
    let sum = x[B2 + o];
    for (let j = 0; j < HIDDEN; j++) sum += x[W2 + o * HIDDEN + j] * h[at + j];
    out[o] = sum;
  }
}

const relu = (/** @type {number} */ value) => (value > 0 ? value : 0);

/** The ten outputs for each row. @param {Float64Array} x @param {Float64Array} inputs */
export function outputs(x, inputs) {
  const h = preactivations(x, inputs).map(relu);
  const rows = h.length / HIDDEN;
  const all = new Float64Array(rows * OUTPUTS);
  for (let n = 0; n < rows; n++) readOut(x, h, n * HIDDEN, all.subarray(n * OUTPUTS, (n + 1) * OUTPUTS));
  return all;
}

/** The largest of the ten outputs of each row. @param {Float64Array} all */
export function answers(all) {
  const found = [];
  for (let at = 0; at < all.length; at += OUTPUTS) {
    let best = 0;
    for (let o = 1; o < OUTPUTS; o++) if (all[at + o] > all[at + best]) best = o;
    found.push(best);
  }
  return found;
}

/**
 * The loss at x + tv for several t. What goes into the units is linear in t, so it is computed once.
 *
 * @param {Float64Array} x @param {Float64Array} v @param {ArrayLike<number>} distances
 * @param {{inputs: Float64Array, targets: number[]}} data
 */
export function lossAlong(x, v, distances, { inputs, targets }) {
  const here = preactivations(x, inputs);
  const along = preactivations(v, inputs);
  const h = new Float64Array(HIDDEN);
  const f = new Float64Array(OUTPUTS);
  const w = new Float64Array(DIM);
  return Float64Array.from(distances, (t) => {
    for (let i = W2; i < DIM; i++) w[i] = x[i] + t * v[i];
    let sum = 0;
    targets.forEach((target, n) => {
      for (let j = 0; j < HIDDEN; j++) h[j] = relu(here[n * HIDDEN + j] + t * along[n * HIDDEN + j]);
      readOut(w, h, 0, f);
      for (let o = 0; o < OUTPUTS; o++) sum += (f[o] - (o === target ? 1 : 0)) ** 2;
    });
    return sum / (2 * targets.length);
  });
}

/**
 * v ↦ ∇²L(x) v, by differentiating the gradient along v. Almost everywhere ReLU has no second derivative.
 *
 * @param {Float64Array} x @param {{inputs: Float64Array, targets: number[]}} data
 * @returns {(v: Float64Array) => Float64Array}
 */
export function hessianAt(x, { inputs, targets }) {
  const rows = targets.length;
  const h = preactivations(x, inputs).map(relu);
  const residuals = outputs(x, inputs).map((f, at) => (f - (at % OUTPUTS === targets[Math.floor(at / OUTPUTS)] ? 1 : 0)) / rows);
  const turned = new Float64Array(HIDDEN);
  const f = new Float64Array(OUTPUTS);
  return (v) => {
    const out = new Float64Array(DIM);
    const along = preactivations(v, inputs, h);
    for (let n = 0; n < rows; n++) {
      const at = n * HIDDEN;
      readOut(v, h, at, f);
      turned.fill(0);
      for (let o = 0; o < OUTPUTS; o++) {
        const w = W2 + o * HIDDEN;
        let change = f[o];
        for (let j = 0; j < HIDDEN; j++) change += x[w + j] * along[at + j];
        change /= rows;
        const residual = residuals[n * OUTPUTS + o];
        out[B2 + o] += change;
        for (let j = 0; j < HIDDEN; j++) {
          if (h[at + j] === 0) continue;
          out[w + j] += change * h[at + j] + residual * along[at + j];
          turned[j] += v[w + j] * residual + x[w + j] * change;
        }
      }
      for (let j = 0; j < HIDDEN; j++) {
        if (h[at + j] === 0) continue;
        out[B1 + j] += turned[j];
        for (let k = 0; k < INPUTS; k++) out[j * INPUTS + k] += turned[j] * inputs[n * INPUTS + k];
      }
    }
    return out;
  };
}

/**
 * The trace of ∇²L(x), exactly: in each single weight the network is linear, almost everywhere.
 *
 * @param {Float64Array} x @param {{inputs: Float64Array, targets: number[]}} data
 */
export function traceAt(x, { inputs, targets }) {
  const h = preactivations(x, inputs).map(relu);
  const weight = Array.from({ length: HIDDEN }, (_, j) => {
    let sum = 0;
    for (let o = 0; o < OUTPUTS; o++) sum += x[W2 + o * HIDDEN + j] ** 2;
    return sum;
  });
  let sum = 0;
  targets.forEach((_, n) => {
    let size = 1;
    for (let k = 0; k < INPUTS; k++) size += inputs[n * INPUTS + k] ** 2;
    for (let j = 0; j < HIDDEN; j++) {
      const unit = h[n * HIDDEN + j];
      if (unit > 0) sum += OUTPUTS * unit * unit + weight[j] * size;
    }
  });
  return OUTPUTS + sum / targets.length;
}
