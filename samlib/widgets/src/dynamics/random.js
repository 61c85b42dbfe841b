// The random numbers of the figures, by the generator mulberry32; samlib.widgets.core.draws has the same.

/**
 * The weights of both terms of a two-term loss at every step of mini-batch SAM.
 *
 * Step t has a word of 32 random bits, the output t of the generator mulberry32 (Tommy Ettinger), and
 * draw j of the step is its bit j: 0 for the first component, 1 for the second. A component drawn c times
 * out of m has the weight 2c/m. Batches of several sizes with one seed share their first draws.
 *
 * @param {number} seed a whole number below 2³² @param {number} size m, from 1 to 32
 * @param {number} steps
 * @returns {Float64Array} two weights per step, one step after the other
 */
export function batchWeights(seed, size, steps) {
  const weights = new Float64Array(2 * steps);
  const mask = size === 32 ? -1 : (1 << size) - 1;
  for (let t = 0, state = seed | 0; t < steps; t++) {
    state = (state + 0x6d2b79f5) | 0;
    const second = countBits(mulberry(state) & mask);
    weights[2 * t] = ((size - second) * 2) / size;
    weights[2 * t + 1] = (second * 2) / size;
  }
  return weights;
}

/**
 * The component, 0 or 1, that 1-SAM draws at every step: bit 0 of the step's random word.
 *
 * @param {number} seed a whole number below 2³² @param {number} steps
 * @returns {Uint8Array}
 */
export function componentDraws(seed, steps) {
  const draws = new Uint8Array(steps);
  for (let t = 0, state = seed | 0; t < steps; t++) {
    state = (state + 0x6d2b79f5) | 0;
    draws[t] = mulberry(state) & 1;
  }
  return draws;
}

/**
 * `count` outputs of the generator mulberry32 after the first `skipped` ones.
 *
 * @param {number} seed @param {number} skipped @param {number} count
 */
export function randomWords(seed, skipped, count) {
  const words = new Uint32Array(count);
  let state = (seed + Math.imul(0x6d2b79f5, skipped)) | 0;
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) | 0;
    words[i] = mulberry(state);
  }
  return words;
}

/** What mulberry32 makes of its counter: 32 bits, as a signed number. @param {number} state */
function mulberry(state) {
  let z = Math.imul(state ^ (state >>> 15), state | 1);
  z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
  return z ^ (z >>> 14);
}

/** How many bits of a 32-bit number are 1: in pairs, fours, bytes, all. @param {number} n */
function countBits(n) {
  n -= (n >>> 1) & 0x55555555;
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
