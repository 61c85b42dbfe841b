// What the kept libraries are measured on: numbers at random, and how time is taken.

/** @param {number} count @param {number} scale */
export function randomNumbers(count, scale) {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  return Float32Array.from({ length: count }, () => next() * scale);
}

/** The best of forty rounds, in ms for one call, after one to warm up. @param {number} count @param {() => Promise<void>} call */
export async function timed(count, call) {
  const rounds = [];
  for (let round = 0; round < 41; round++) {
    const began = performance.now();
    for (let i = 0; i < count; i++) await call();
    rounds.push((performance.now() - began) / count);
  }
  return Math.min(...rounds.slice(1));
}
