// The update rules, by the formulas of samlib.rules, on a loss that is a mean over rows of data. Weights and updates are
// float64 in either arithmetic; only the network's own work is in float32 where speed is asked for.

/**
 * An update rule with its numbers; any of them may change from step to step. A rule takes of them what it needs.
 *
 * "gradient_descent" and "sam" use all training rows. "sgd", "mini_batch" (SAM) and "one_sam" draw `batch` of them (1-SAM
 * one) in each step, uniformly and with replacement, as samlib.rules.StochasticSAM does. "m_sam" uses all of them, cut
 * into pieces of `batch` rows: each climbs by itself, and the step goes down their mean, as samlib.optim.MSAM does.
 *
 * @typedef {object} Rule
 * @property {"gradient_descent" | "sgd" | "sam" | "m_sam" | "mini_batch" | "one_sam"} name
 * @property {number} lr η > 0
 * @property {number} [rho] ρ ≥ 0
 * @property {number} [batch] m ≥ 1
 */

/** @typedef {import("../network/model.js").Batch} Batch */

/**
 * What a step needs of the run.
 *
 * @typedef {object} Problem
 * @property {number} dim
 * @property {number} rows for training
 * @property {(x: Float64Array, parts: Batch[], out: Float64Array) => number} gradient returns L on these parts of the data
 * @property {Batch[]} full all training rows
 * @property {(count: number) => Batch[]} draw as many rows at random
 * @property {(size: number) => Iterable<Batch[]>} pieces of the training rows, one after the other
 */

/** Which of a rule's numbers it uses. @type {Readonly<Record<Rule["name"], readonly ("lr" | "rho" | "batch")[]>>} */
export const NUMBERS = {
  gradient_descent: ["lr"],
  sgd: ["lr", "batch"],
  sam: ["lr", "rho"],
  m_sam: ["lr", "rho", "batch"],
  mini_batch: ["lr", "rho", "batch"],
  one_sam: ["lr", "rho"],
};

/** The rule, if it makes sense for so many rows. @param {Rule} rule @param {number} rows @returns {Rule} */
export function checked(rule, rows) {
  if (!(rule?.name in NUMBERS)) {
    throw new RangeError(`rule.name must be one of ${Object.keys(NUMBERS).join(", ")}, got ${rule?.name}`);
  }
  const fits = {
    lr: (/** @type {number} */ v) => v > 0 && Number.isFinite(v),
    rho: (/** @type {number} */ v) => v >= 0 && Number.isFinite(v),
    batch: (/** @type {number} */ v) => Number.isInteger(v) && v >= 1 && v <= rows,
  };
  for (const number of NUMBERS[rule.name]) {
    const value = rule[number];
    if (value === undefined || !fits[number](value)) throw new RangeError(`rule.${number} does not fit: ${value}`);
  }
  return rule;
}

/** ‖g‖. @param {Float64Array} g */
export function norm(g) {
  let sum = 0;
  for (let i = 0; i < g.length; i++) sum += g[i] * g[i];
  return Math.sqrt(sum);
}

/** @param {Problem} problem */
export function createStepper(problem) {
  const { dim } = problem;
  const [g, ahead, mean] = [new Float64Array(dim), new Float64Array(dim), new Float64Array(dim)];

  /** Write the gradient at x + ρ g/‖g‖ into g, which holds the one at x. @param {Float64Array} x @param {Batch[]} parts @param {number} rho */
  function climb(x, parts, rho) {
    const length = norm(g);
    const flat = 1 / Math.sqrt(dim);
    for (let i = 0; i < dim; i++) ahead[i] = x[i] + rho * (length === 0 ? flat : g[i] / length);
    problem.gradient(ahead, parts, g);
  }

  /** The direction of a step on some rows, into g. @param {Float64Array} x @param {Batch[]} parts @param {number | null} rho */
  function directionOn(x, parts, rho) {
    const loss = problem.gradient(x, parts, g);
    const gradientNorm = norm(g);
    if (rho !== null) climb(x, parts, rho);
    return { loss, gradientNorm };
  }

  /** The mean direction over pieces of the training rows. @param {Float64Array} x @param {number} size @param {number} rho */
  function meanDirection(x, size, rho) {
    mean.fill(0);
    let loss = 0;
    const whole = new Float64Array(dim);
    for (const piece of problem.pieces(size)) {
      const share = piece[0].total / problem.rows;
      loss += share * problem.gradient(x, piece, g);
      for (let i = 0; i < dim; i++) whole[i] += share * g[i];
      climb(x, piece, rho);
      for (let i = 0; i < dim; i++) mean[i] += share * g[i];
    }
    g.set(mean);
    return { loss, gradientNorm: norm(whole) };
  }

  /** @param {Float64Array} x @param {Rule} rule */
  function direction(x, { name, rho = 0, batch = 1 }) {
    if (name === "m_sam") return meanDirection(x, batch, rho);
    if (name === "gradient_descent" || name === "sam") return directionOn(x, problem.full, name === "sam" ? rho : null);
    return directionOn(x, problem.draw(name === "one_sam" ? 1 : batch), name === "sgd" ? null : rho);
  }

  /**
   * One step, in place. Returns what it saw at x, on its own rows, before it moved.
   *
   * @param {Float64Array} x @param {Rule} rule @returns {{loss: number, gradientNorm: number}}
   */
  return function step(x, rule) {
    const seen = direction(x, rule);
    for (let i = 0; i < dim; i++) x[i] -= rule.lr * g[i];
    return seen;
  };
}
