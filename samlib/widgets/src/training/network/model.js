// Loss, gradient and Hessian-vector products of a network on a batch, written once for both kinds of arithmetic.
//
// The product is exact: the derivative of the gradient along v, by Pearlmutter's (1994) R-operator. What the gradient
// left behind (outputs h of every layer, dL/dh, dL/dz) is used again by every product at the same weights.

import { LOSSES } from "./losses.js";

/** @typedef {import("../arithmetic/plain.js").Arithmetic} Arithmetic */
/** @typedef {import("../arithmetic/plain.js").Buffer} Buffer */
/** @typedef {import("./layers.js").Layer} Layer */

/**
 * Rows of a data set as the first layer takes them.
 *
 * @typedef {object} Batch
 * @property {number} rows
 * @property {number} columns rows and padding, so that SIMD needs no rest: see padded()
 * @property {Buffer} patches of the first layer, fan × positions × columns
 * @property {Uint8Array} labels
 */

export const PAD = 8;

/**
 * An odd multiple of PAD: were it a power of two, the rows of a matrix would fall on the same lines of the cache.
 *
 * @param {number} rows
 */
export const padded = (rows) => (2 * Math.ceil((rows / PAD - 1) / 2) + 1) * PAD;

/** @typedef {ReturnType<typeof createModel>} Model */

/** Views of one vector of weights, layer by layer. @param {Layer[]} layers @param {Buffer} x */
const viewsOf = (layers, x) =>
  layers.map(({ weights, bias, outputs }) => ({
    matrix: x.subarray(weights, bias),
    bias: x.subarray(bias, bias + outputs),
  }));

/**
 * Work space of a layer for batches of up to `columns` columns.
 *
 * @param {Arithmetic} arithmetic @param {Layer} layer @param {number} columns @param {boolean} first
 */
function spaceFor({ alloc, indices }, { outputs, fan, positions, taps }, columns, first) {
  const out = () => alloc(outputs * positions * columns);
  const patches = () => alloc(taps && !first ? fan * positions * columns : 0);
  return {
    taps: taps && !first ? indices(taps) : null,
    h: out(), dh: out(), dz: out(),
    patches: patches(), back: patches(),
    // The same along v, which changes the weights: of h, of dL/dh and of dL/dz.
    alongH: out(), alongDh: out(), alongDz: out(), alongPatches: patches(),
  }; // prettier-ignore
}

/**
 * @param {Arithmetic} arithmetic
 * @param {{layers: Layer[], dim: number}} network
 * @param {import("./losses.js").LossName} lossName
 * @param {number} columns of the largest batch
 */
export function createModel(arithmetic, { layers, dim }, lossName, columns) {
  const loss = LOSSES[lossName];
  const x = arithmetic.alloc(dim);
  const g = arithmetic.alloc(dim);
  const v = arithmetic.alloc(dim);
  const hv = arithmetic.alloc(dim);
  const [weights, gradients, along, products] = [x, g, v, hv].map((each) => viewsOf(layers, each));
  const spaces = layers.map((layer, l) => spaceFor(arithmetic, layer, columns, l === 0));
  const ones = arithmetic.alloc(Math.max(...layers.map(({ positions }) => positions)) * columns).fill(1);
  const last = layers.length - 1;

  /** What a layer multiplies. @param {number} l @param {Batch} batch */
  const patchesOf = (l, batch) =>
    l === 0 ? batch.patches : spaces[l].taps ? spaces[l].patches : spaces[l - 1].h;

  /** Fill n columns of each output with its bias. @param {Buffer} z @param {Buffer} bias @param {number} n */
  function spread(z, bias, n) {
    for (let i = 0; i < bias.length; i++) z.fill(bias[i], i * n, (i + 1) * n);
  }

  /** Outputs of all layers. @param {Batch} batch */
  function forward(batch) {
    for (let l = 0; l <= last; l++) {
      const { outputs, fan, positions } = layers[l];
      const { taps, patches, h } = spaces[l];
      const n = positions * batch.columns;
      if (taps) arithmetic.gather(taps.length, batch.columns, taps, spaces[l - 1].h, patches);
      spread(h, weights[l].bias, n);
      arithmetic.multiply(outputs, n, fan, weights[l].matrix, patchesOf(l, batch), h, true);
      if (l < last) arithmetic.tanh(outputs * n, h);
    }
  }

  /** Sums over n columns. @param {Buffer} d @param {Buffer} out @param {number} n */
  const sums = (d, out, n) => arithmetic.outer(out.length, 1, n, d, ones, out, false);

  /**
   * Wᵀd, brought back to where the patches come from: into `out`, beside which `patches` is work space.
   *
   * @param {number} l @param {number} columns @param {[Buffer, Buffer][]} pairs W and d, whose results are added
   * @param {Buffer} out
   */
  function pullBack(l, columns, pairs, out) {
    const { outputs, fan, positions } = layers[l];
    const { taps, back } = spaces[l];
    const n = positions * columns;
    const target = taps ? back : out;
    pairs.forEach(([matrix, d], i) => arithmetic.transposed(fan, n, outputs, matrix, d, target, i > 0));
    if (!taps) return;
    out.fill(0, 0, layers[l - 1].outputs * layers[l - 1].positions * columns);
    arithmetic.scatter(taps.length, columns, taps, back, out);
  }

  /** The gradient, after forward() and the loss's own. @param {Batch} batch */
  function backward(batch) {
    for (let l = last; l >= 0; l--) {
      const { outputs, fan, positions } = layers[l];
      const n = positions * batch.columns;
      const { dz } = spaces[l];
      arithmetic.outer(outputs, fan, n, dz, patchesOf(l, batch), gradients[l].matrix, false);
      sums(dz, gradients[l].bias, n);
      if (l === 0) return;
      const before = spaces[l - 1];
      pullBack(l, batch.columns, [[weights[l].matrix, dz]], before.dh);
      arithmetic.slope(layers[l - 1].outputs * layers[l - 1].positions * batch.columns, before.dh, before.h, before.dz);
    }
  }

  /** How outputs change along v. @param {Batch} batch */
  function forwardAlong(batch) {
    for (let l = 0; l <= last; l++) {
      const { outputs, fan, positions } = layers[l];
      const { taps, h, alongH, alongPatches } = spaces[l];
      const n = positions * batch.columns;
      spread(alongH, along[l].bias, n);
      arithmetic.multiply(outputs, n, fan, along[l].matrix, patchesOf(l, batch), alongH, true);
      if (l > 0) {
        const before = spaces[l - 1].alongH;
        if (taps) arithmetic.gather(taps.length, batch.columns, taps, before, alongPatches);
        arithmetic.multiply(outputs, n, fan, weights[l].matrix, taps ? alongPatches : before, alongH, true);
      }
      if (l < last) arithmetic.slope(outputs * n, alongH, h, alongH);
    }
  }

  /** How the gradient changes along v. @param {Batch} batch */
  function backwardAlong(batch) {
    for (let l = last; l >= 0; l--) {
      const { outputs, fan, positions } = layers[l];
      const { taps, dz, alongDz, alongPatches } = spaces[l];
      const n = positions * batch.columns;
      arithmetic.outer(outputs, fan, n, alongDz, patchesOf(l, batch), products[l].matrix, false);
      sums(alongDz, products[l].bias, n);
      if (l === 0) return;
      const before = spaces[l - 1];
      const changed = taps ? alongPatches : before.alongH;
      arithmetic.outer(outputs, fan, n, dz, changed, products[l].matrix, true);
      const pairs = /** @type {[Buffer, Buffer][]} */ ([[along[l].matrix, dz], [weights[l].matrix, alongDz]]);
      pullBack(l, batch.columns, pairs, before.alongDh);
      const count = layers[l - 1].outputs * layers[l - 1].positions * batch.columns;
      arithmetic.bend(count, before.alongDh, before.h, before.alongH, before.dh, before.alongDz);
    }
  }

  /** @param {ArrayLike<number>} at the weights @param {Batch} batch */
  function value(at, batch) {
    x.set(at);
    forward(batch);
    return loss.gradient(spaces[last].h, batch.labels, batch.rows, batch.columns, spaces[last].dz);
  }

  return {
    dim,
    /** Outputs of the last batch, classes × columns. */
    outputs: spaces[last].h,
    value,
    /** L, and ∇L into `out`. @param {ArrayLike<number>} at @param {Batch} batch @param {Float64Array} out */
    gradient(at, batch, out) {
      const found = value(at, batch);
      backward(batch);
      out.set(g);
      return found;
    },
    /**
     * ∇²L·v into `out`, at the weights and on the batch of the last gradient.
     *
     * @param {Batch} batch @param {ArrayLike<number>} direction @param {Float64Array} out
     */
    product(batch, direction, out) {
      v.set(direction);
      forwardAlong(batch);
      const { alongH, dz, alongDz } = spaces[last];
      loss.product(alongH, dz, batch.labels, batch.rows, batch.columns, alongDz);
      backwardAlong(batch);
      out.set(hv);
    },
  };
}
