// Where SAM's gradient points in the plane of the two largest eigenvalues, many times between two checkpoints.

/**
 * The points (s₁, s₂) of a run (dynamics/planes.js) at the times tau, and at every checkpoint what is to be said of them.
 *
 * @typedef {object} Directions
 * @property {number[]} tau
 * @property {number[]} s1
 * @property {number[]} s2
 * @property {number[]} counts how many points there are before a checkpoint
 * @property {number[]} since the checkpoint from which on as many eigenvalues were tied as now
 * @property {number[]} tied how many are
 * @property {number[]} predicted the mean that s₁ is to have; that of s₂ is 0
 */

/** @param {import("../../dynamics/network.js").Network} network @param {import("../../dynamics/planes.js").Planes} planes */
export function createDirections(network, planes) {
  const { dim } = network;
  const gradient = new Float64Array(dim);
  /** @type {Directions} */
  const found = { tau: [], s1: [], s2: [], counts: [], since: [], tied: [], predicted: [] };
  return {
    found,
    /** A checkpoint is reached. @param {number} n @param {number} tau */
    mark(n, tau) {
      found.counts[n] = found.tau.length;
      found.tied[n] = planes.numberAt(tau);
      found.since[n] = n > 0 && found.tied[n] === found.tied[n - 1] ? found.since[n - 1] : n;
      found.predicted[n] = planes.meanAt(tau);
    },
    /** A point of the run. @param {number} tau @param {Float64Array} x @param {number} at where in x it stands */
    add(tau, x, at) {
      network.gradient(x, at, gradient);
      const [s1, s2] = planes.point(tau, gradient);
      found.tau.push(tau);
      found.s1.push(s1);
      found.s2.push(s2);
    },
  };
}

/** The mean point since as many eigenvalues are tied as at checkpoint n. @param {Directions} directions @param {number} n */
export function meanPoint({ s1, s2, counts, since }, n) {
  const [from, to] = [counts[since[n]], counts[n]];
  const mean = (/** @type {number[]} */ s) => s.slice(from, to).reduce((a, b) => a + b, 0) / (to - from);
  return [mean(s1), mean(s2)];
}

/** A point as a text, to hundredths. @param {...number} point */
export const pointText = (...point) =>
  `(${point.map((v) => (Math.round(100 * v) / 100 + 0).toFixed(2).replace("-", "−")).join(", ")})`;
