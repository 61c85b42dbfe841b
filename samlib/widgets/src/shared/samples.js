// Which steps are drawn: all of the first ones, then pairs of neighbours at growing distances, so that a
// run of 100,000 steps needs a few hundred points on a logarithmic time axis and yet shows both branches
// of a two-cycle.

/** Steps below this one are all drawn, and joined one to the next. */
export const HEAD = 64;

/** How far apart the pairs are, relative to their step. */
const GROWTH = 0.025;

/**
 * The steps that playing and scrubbing stop at: all of the first ones, then only even ones, so that the
 * point stays on one branch of a two-cycle and does not flicker between both; and the last.
 *
 * @param {number} steps
 * @returns {number[]} increasing, from 0 to `steps`
 */
export function keySteps(steps) {
  const keys = [];
  let t = 0;
  for (; t < HEAD && t < steps; t++) keys.push(t);
  for (; t < steps; t = 2 * Math.max(t / 2 + 1, Math.round((t * (1 + GROWTH)) / 2))) keys.push(t);
  keys.push(steps);
  return keys;
}

/**
 * The key steps, each of those after the head followed by its neighbour on the other branch.
 *
 * @param {number[]} keys
 * @returns {Int32Array}
 */
export function sampleSteps(keys) {
  const steps = keys[keys.length - 1];
  const samples = keys.slice(0, HEAD);
  for (const t of keys.slice(HEAD)) {
    const even = t - (t % 2);
    samples.push(even, even < steps ? even + 1 : even - 1);
  }
  return Int32Array.from(samples);
}

/**
 * How many samples lie at or before a step.
 *
 * @param {number[]} keys @param {number} step
 */
export function samplesUntil(keys, step) {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low <= HEAD ? low : HEAD + 2 * (low - HEAD);
}
