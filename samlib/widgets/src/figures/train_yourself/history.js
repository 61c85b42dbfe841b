// What was measured while two networks trained: one record a look, thinned out as a run grows long.

/**
 * What is known of one run at one step. What was not measured then is missing.
 *
 * @typedef {object} Reading
 * @property {number} loss of the training rows
 * @property {number} norm ‖∇L‖
 * @property {number} [top] λ₁
 * @property {number} [edge] where a step of this method ceases to be stable
 * @property {number} [train] accuracy on the training rows, with the labels that they have
 * @property {number} [test] accuracy on the test rows
 * @property {number[]} [eigenvalues] λ₁, λ₂, …
 * @property {number} [trace] @property {number} [traceError] one standard error
 * @property {number} [alignment] |cos∠(∇L, v₁)|
 * @property {number} [share] the share of ∇L, squared, in the span of the top ten
 */

/** @typedef {{step: number, rho: number, lr: number, runs: [Reading, Reading]}} Look */

/** So many looks are kept: more than a wide picture has pixels for. */
const MOST = 1600;

export function createHistory() {
  /** @type {Look[]} */
  let looks = [];
  let spacing = 0;
  return {
    get looks() {
      return looks;
    },
    /** The last look that was not overtaken, or nothing. */
    last: () => looks.at(-1),
    /**
     * Add a look. The last one always stays; of those before, every other one goes when there are too many.
     *
     * @param {Look} look
     */
    add(look) {
      if (looks.at(-1)?.step === look.step) looks.pop(); // another look at the same step
      const before = looks.at(-2);
      if (before && look.step - before.step < spacing) looks.pop();
      looks.push(look);
      if (looks.length <= MOST) return;
      looks = looks.filter((_, i) => i % 2 === 0 || i === looks.length - 1);
      spacing = (2 * look.step) / MOST;
    },
    clear() {
      looks = [];
      spacing = 0;
    },
  };
}

/** @typedef {ReturnType<typeof createHistory>} History */

/**
 * The latest value of a quantity of a run.
 *
 * @template {keyof Reading} K
 * @param {readonly Look[]} looks @param {0 | 1} run @param {K} name @returns {Reading[K] | undefined}
 */
export function latest(looks, run, name) {
  for (let i = looks.length - 1; i >= 0; i--) {
    const value = looks[i].runs[run][name];
    if (value !== undefined) return value;
  }
  return undefined;
}
