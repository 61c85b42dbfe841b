// Running a rule, as samlib.simulate does.

import { isStochastic, makeRule } from "./rules.js";

/** @typedef {import("./landscapes.js").Landscape} Landscape */
/** @typedef {import("./rules.js").Rule} Rule */

/**
 * What a run returns: `steps[i]` is the step of record i, its point is x[i·dim … (i+1)·dim).
 *
 * @typedef {object} Run
 * @property {number} dim
 * @property {number} every
 * @property {number} records
 * @property {Float64Array} x
 */

/**
 * Run a rule; keep the start, every `every`-th iterate and the last, as samlib.simulate does.
 *
 * A run that has come back to the same bits (gradient descent arrived, SAM in its two-cycle) is continued
 * by copying: the map is deterministic, so these are the same numbers.
 *
 * @param {Landscape} landscape
 * @param {Rule} rule
 * @param {{start: ArrayLike<number>, steps: number, lr: number, rho?: number, every?: number,
 *   draws?: ArrayLike<number>, weights?: ArrayLike<number>, into?: Float64Array}} options
 *   `draws[t]` is the component that 1-SAM uses at step t; `weights` holds those of the terms at every step of
 *   mini-batch SAM, one step after the other; `into` is reused when it is long enough
 * @returns {Run}
 */
export function simulate(
  landscape, rule, { start, steps, lr, rho = 0, every = 1, draws, weights, into },
) { // prettier-ignore
  const { dim } = landscape;
  if (start.length !== dim) throw new RangeError(`start has ${start.length} numbers, not ${dim}`);
  const advance = makeRule(landscape, rule, { lr, rho, draws, weights });
  const records = Math.ceil(steps / every) + 1;
  const x = into && into.length >= records * dim ? into : new Float64Array(records * dim);
  x.set(start);
  if (every > 1) {
    const walk = new Float64Array((every + 1) * dim);
    for (let r = 1, t = 0; r < records; r++) {
      const count = Math.min(every, steps - t);
      walk.set(x.subarray((r - 1) * dim, r * dim));
      advance(walk, 0, count, t);
      x.set(walk.subarray(count * dim, (count + 1) * dim), r * dim);
      t += count;
    }
    return { dim, every, records, x };
  }
  for (let t = 0; t < steps; t += PERIOD) {
    const count = Math.min(PERIOD, steps - t);
    const at = t * dim;
    advance(x, at, count, t);
    if (!isStochastic(rule) && count === PERIOD && same(x, at, at + PERIOD * dim, dim)) {
      for (let to = at + (PERIOD + 1) * dim; to < records * dim; to += PERIOD * dim) {
        x.copyWithin(to, at + dim, at + dim + Math.min(PERIOD * dim, records * dim - to));
      }
      break;
    }
  }
  return { dim, every, records, x };
}

/** How far apart two iterates are that are compared for coming back; a multiple of two. */
const PERIOD = 64;

/** @param {Float64Array} x @param {number} a @param {number} b @param {number} dim */
function same(x, a, b, dim) {
  for (let i = 0; i < dim; i++) if (x[a + i] !== x[b + i]) return false;
  return true;
}
