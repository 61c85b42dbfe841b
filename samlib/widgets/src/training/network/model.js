// Loss, gradient and Hessian-vector products of a network on a batch, written once for both kinds of arithmetic.
//
// The product is exact: the derivative of the gradient along v, by Pearlmutter's (1994) R-operator. What the gradient
// left behind (outputs h of every layer, dL/dh, dL/dz) is used again by every product at the same weights.

import { LOSSES } from "./losses.js";

/** @typedef {import("../arithmetic/plain.js").Arithmetic} Arithmetic */
/** @typedef {import("../arithmetic/plain.js").Buffer} Buffer */
/** @typedef {import("./layers.js").Layer} Layer */

/**
 * Rows of a data set as the first layer takes them, with what each layer makes of them.
 *
 * @typedef {object} Batch
 * @property {number} rows
 * @property {number} total rows over which the loss is a mean, of which these may be a part
 * @property {number} columns rows and padding, so that SIMD needs no rest: see padded()
 * @property {Buffer} patches of the first layer, fan × positions × columns
 * @property {Uint8Array} labels
 * @property {Space[]} spaces layer by layer
 */

/** @typedef {ReturnType<typeof spaceFor>} Space */

/** So many numbers of one layer stay in the cache (300 kB in float32): what has more rows is done in parts. */
const IN_CACHE = 75_000;

/** How many rows are done at once. @param {Layer[]} layers */
export const rowsAtOnce = (layers) =>
  padded(Math.floor(IN_CACHE / Math.max(...layers.map(({ fan, outputs, positions }) => Math.max(fan, outputs) * positions))) - PAD);

const PAD = 8;

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

/** How much what comes out of a layer takes, and its patches. @param {Layer} layer @param {number} columns @param {boolean} first */
const sizesOf = ({ outputs, fan, positions, taps }, columns, first) => ({
  out: outputs * positions * columns,
  patches: taps && !first ? fan * positions * columns : 0,
});

/**
 * What a layer makes of a batch of up to `columns` columns, for the products with the Hessian to use again.
 *
 * @param {Arithmetic} arithmetic @param {Layer} layer @param {number} columns @param {boolean} first
 */
function spaceFor({ alloc }, layer, columns, first) {
  const { out, patches } = sizesOf(layer, columns, first);
  return { h: alloc(out), dh: alloc(out), dz: alloc(out), patches: alloc(patches) };
}

/**
 * Work space of a layer for one batch at a time: how h, dL/dh and dL/dz change along v, and what comes back.
 *
 * @param {Arithmetic} arithmetic @param {Layer} layer @param {number} columns @param {boolean} first
 */
function scratchFor({ alloc, indices }, layer, columns, first) {
  const { out, patches } = sizesOf(layer, columns, first);
  return {
    taps: layer.taps && !first ? indices(layer.taps) : null,
    h: alloc(out), dh: alloc(out), dz: alloc(out), patches: alloc(patches), back: alloc(patches),
  }; // prettier-ignore
}

/**
 * @param {Arithmetic} arithmetic
 * @param {{layers: Layer[], dim: number}} network
 * @param {import("./losses.js").LossName} lossName
 * @param {number} columns of the largest batch: see rowsAtOnce()
 */
export function createModel(arithmetic, { layers, dim }, lossName, columns) {
  const loss = LOSSES[lossName];
  const x = arithmetic.alloc(dim);
  const g = arithmetic.alloc(dim);
  const v = arithmetic.alloc(dim);
  const hv = arithmetic.alloc(dim);
  const [weights, gradients, directions, products] = [x, g, v, hv].map((each) => viewsOf(layers, each));
  const along = layers.map((layer, l) => scratchFor(arithmetic, layer, columns, l === 0));
  const ones = arithmetic.alloc(Math.max(...layers.map(({ positions }) => positions)) * columns).fill(1);
  const last = layers.length - 1;

  /** What a layer multiplies. @param {number} l @param {Batch} batch */
  const patchesOf = (l, { patches, spaces }) =>
    l === 0 ? patches : along[l].taps ? spaces[l].patches : spaces[l - 1].h;

  /** Fill n columns of each output with its bias. @param {Buffer} z @param {Buffer} bias @param {number} n */
  function spread(z, bias, n) {
    for (let i = 0; i < bias.length; i++) z.fill(bias[i], i * n, (i + 1) * n);
  }

  /** Outputs of all layers. @param {Batch} batch */
  function forward(batch) {
    for (let l = 0; l <= last; l++) {
      const { outputs, fan, positions } = layers[l];
      const { taps } = along[l];
      const { patches, h } = batch.spaces[l];
      const n = positions * batch.columns;
      if (taps) arithmetic.gather(taps.length, batch.columns, taps, batch.spaces[l - 1].h, patches);
      spread(h, weights[l].bias, n);
      arithmetic.multiply(outputs, n, fan, weights[l].matrix, patchesOf(l, batch), h, true);
      if (l < last) arithmetic.tanh(outputs * n, h);
    }
  }

  /** Sums over n columns. @param {Buffer} d @param {Buffer} out @param {number} n @param {boolean} add */
  const sums = (d, out, n, add) => arithmetic.outer(out.length, 1, n, d, ones, out, add);

  /**
   * Wᵀd, brought back to where the patches come from.
   *
   * @param {number} l @param {Batch} batch @param {[Buffer, Buffer][]} pairs W and d, whose results are added
   * @param {Buffer} out
   */
  function pullBack(l, { columns }, pairs, out) {
    const { outputs, fan, positions } = layers[l];
    const { taps, back } = along[l];
    const n = positions * columns;
    const target = taps ? back : out;
    pairs.forEach(([matrix, d], i) => arithmetic.transposed(fan, n, outputs, matrix, d, target, i > 0));
    if (!taps) return;
    out.fill(0, 0, layers[l - 1].outputs * layers[l - 1].positions * columns);
    arithmetic.scatter(taps.length, columns, taps, back, out);
  }

  /** The gradient, after forward() and the loss's own. @param {Batch} batch @param {boolean} add to what is there */
  function backward(batch, add) {
    for (let l = last; l >= 0; l--) {
      const { outputs, fan, positions } = layers[l];
      const n = positions * batch.columns;
      const { dz } = batch.spaces[l];
      arithmetic.outer(outputs, fan, n, dz, patchesOf(l, batch), gradients[l].matrix, add);
      sums(dz, gradients[l].bias, n, add);
      if (l === 0) return;
      const before = batch.spaces[l - 1];
      pullBack(l, batch, [[weights[l].matrix, dz]], before.dh);
      arithmetic.slope(layers[l - 1].outputs * layers[l - 1].positions * batch.columns, before.dh, before.h, before.dz);
    }
  }

  /** How outputs change along v. @param {Batch} batch */
  function forwardAlong(batch) {
    for (let l = 0; l <= last; l++) {
      const { outputs, fan, positions } = layers[l];
      const { taps, h, patches } = along[l];
      const n = positions * batch.columns;
      spread(h, directions[l].bias, n);
      arithmetic.multiply(outputs, n, fan, directions[l].matrix, patchesOf(l, batch), h, true);
      if (l > 0) {
        if (taps) arithmetic.gather(taps.length, batch.columns, taps, along[l - 1].h, patches);
        arithmetic.multiply(outputs, n, fan, weights[l].matrix, taps ? patches : along[l - 1].h, h, true);
      }
      if (l < last) arithmetic.slope(outputs * n, h, batch.spaces[l].h, h);
    }
  }

  /** How the gradient changes along v. @param {Batch} batch @param {boolean} add to what is there */
  function backwardAlong(batch, add) {
    for (let l = last; l >= 0; l--) {
      const { outputs, fan, positions } = layers[l];
      const { taps, dz, patches } = along[l];
      const n = positions * batch.columns;
      arithmetic.outer(outputs, fan, n, dz, patchesOf(l, batch), products[l].matrix, add);
      sums(dz, products[l].bias, n, add);
      if (l === 0) return;
      const [before, known] = [along[l - 1], batch.spaces[l - 1]];
      const own = batch.spaces[l].dz;
      arithmetic.outer(outputs, fan, n, own, taps ? patches : before.h, products[l].matrix, true);
      const pairs = /** @type {[Buffer, Buffer][]} */ ([[directions[l].matrix, own], [weights[l].matrix, dz]]);
      pullBack(l, batch, pairs, before.dh);
      const count = layers[l - 1].outputs * layers[l - 1].positions * batch.columns;
      arithmetic.bend(count, before.dh, known.h, before.h, known.dh, before.dz);
    }
  }

  /** The batch's share of L, and dL/dz for its outputs. @param {Batch} batch */
  function look(batch) {
    forward(batch);
    return loss.gradient(batch.spaces[last].h, batch, batch.spaces[last].dz);
  }

  return {
    dim,
    /** Room for what the layers make of so many columns. @param {number} columns */
    spacesFor: (columns) => layers.map((layer, l) => spaceFor(arithmetic, layer, columns, l === 0)),
    /** The outputs of a batch, classes × columns, as they were when it was last looked at. @param {Batch} batch */
    outputsOf: (batch) => batch.spaces[last].h,
    /** L on parts of the data. @param {ArrayLike<number>} at the weights @param {Batch[]} parts */
    value(at, parts) {
      x.set(at);
      return parts.reduce((sum, part) => sum + look(part), 0);
    },
    /** L, and ∇L into `out`. @param {ArrayLike<number>} at @param {Batch[]} parts @param {Float64Array} out */
    gradient(at, parts, out) {
      x.set(at);
      let sum = 0;
      parts.forEach((part, i) => {
        sum += look(part);
        backward(part, i > 0);
      });
      out.set(g);
      return sum;
    },
    /**
     * ∇²L·v into `out`, at the weights and on the parts of the last gradient.
     *
     * @param {Batch[]} parts @param {ArrayLike<number>} direction @param {Float64Array} out
     */
    product(parts, direction, out) {
      v.set(direction);
      parts.forEach((part, i) => {
        forwardAlong(part);
        loss.product(along[last].h, part.spaces[last].dz, part, along[last].dz);
        backwardAlong(part, i > 0);
      });
      out.set(hv);
    },
  };
}
