// What is made of the outputs of a network: the loss, a mean over rows, and its first two derivatives. Outputs stand in
// columns: 10 × columns, of which the first `rows` count and the others are padding.

import { CLASSES } from "./layers.js";

/** @typedef {"squared" | "cross-entropy"} LossName */
/** @typedef {import("../arithmetic/plain.js").Buffer} Buffer */

/**
 * The rows that are looked at, of `total` over which the loss is a mean.
 *
 * @typedef {{rows: number, columns: number, total: number, labels: Uint8Array}} Part
 */

/**
 * @typedef {object} Loss
 * @property {(z: Buffer, part: Part, d: Buffer) => number} gradient writes dL/dz into d and returns the part's share of L
 * @property {(dz: Buffer, d: Buffer, part: Part, out: Buffer) => void} product (∂²L/∂z²)·dz, where d is what `gradient`
 *   wrote
 */

/** ½ of the squared distance to the one-hot label, as samlib's networks of digits have it. @type {Loss} */
const squared = {
  gradient(z, { labels, rows, columns, total }, d) {
    let sum = 0;
    for (let c = 0; c < CLASSES; c++) {
      const at = c * columns;
      for (let r = 0; r < rows; r++) {
        const off = z[at + r] - (labels[r] === c ? 1 : 0);
        sum += off * off;
        d[at + r] = off / total;
      }
      d.fill(0, at + rows, at + columns);
    }
    return sum / 2 / total;
  },
  product(dz, d, { rows, columns, total }, out) {
    for (let c = 0; c < CLASSES; c++) {
      const at = c * columns;
      for (let r = 0; r < rows; r++) out[at + r] = dz[at + r] / total;
      out.fill(0, at + rows, at + columns);
    }
  },
};

/** −log of the probability that the softmax gives the label. @type {Loss} */
const crossEntropy = {
  gradient(z, { labels, rows, columns, total }, d) {
    let sum = 0;
    d.fill(0, 0, CLASSES * columns);
    for (let r = 0; r < rows; r++) {
      let most = -Infinity;
      for (let c = 0; c < CLASSES; c++) most = Math.max(most, z[c * columns + r]);
      let all = 0;
      for (let c = 0; c < CLASSES; c++) {
        const e = Math.exp(z[c * columns + r] - most);
        d[c * columns + r] = e;
        all += e;
      }
      for (let c = 0; c < CLASSES; c++) d[c * columns + r] /= all * total;
      const own = labels[r] * columns + r;
      d[own] -= 1 / total;
      sum += Math.log(all) + most - z[own];
    }
    return sum / total;
  },
  product(dz, d, { labels, rows, columns, total }, out) {
    out.fill(0, 0, CLASSES * columns);
    for (let r = 0; r < rows; r++) {
      let mean = 0;
      for (let c = 0; c < CLASSES; c++) mean += chance(c, r) * dz[c * columns + r];
      for (let c = 0; c < CLASSES; c++) {
        out[c * columns + r] = (chance(c, r) * (dz[c * columns + r] - mean)) / total;
      }
    }
    /** The softmax's probability. @param {number} c @param {number} r */
    function chance(c, r) {
      return d[c * columns + r] * total + (labels[r] === c ? 1 : 0);
    }
  },
};

/** @type {Readonly<Record<LossName, Loss>>} */
export const LOSSES = { squared, "cross-entropy": crossEntropy };
