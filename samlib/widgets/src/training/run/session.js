// One run: a network, its data, where it is, and what can be asked of it.

import { unpackDigits, IMAGES, PIXELS } from "../digits/unpack.js";
import { layersOf, CLASSES } from "../network/layers.js";
import { createModel, padded } from "../network/model.js";
import { startOf } from "../network/start.js";
import { mersenneTwister } from "../../dynamics/mersenne.js";
import { centred, createBatch, shuffledLabels } from "./data.js";
import { checked, createStepper, norm } from "./rules.js";

/**
 * What a run depends on.
 *
 * @typedef {object} Settings
 * @property {import("../network/layers.js").Network} network
 * @property {number} rows for training, 1 to 1,796; the others are for testing
 * @property {number} shuffled the share of training rows whose labels are shuffled, 0 to 1
 * @property {import("../network/losses.js").LossName} loss
 * @property {number} seed of weights, of shuffled labels and of the draws, a whole number below 2³²
 * @property {"float32" | "float64"} precision
 */

/**
 * Where a run stands. The per-step arrays hold what each step saw before it moved, on its own rows.
 *
 * @typedef {object} Progress
 * @property {number} step steps since the start
 * @property {number} loss of all training rows
 * @property {number} gradientNorm ‖∇L‖, of all training rows
 * @property {number} trainAccuracy 0 to 1, measured with the labels it is trained on
 * @property {number} testAccuracy 0 to 1
 * @property {boolean} diverged is the loss no longer a number?
 * @property {Float64Array} losses
 * @property {Float64Array} gradientNorms
 */

/**
 * A test digit that the network takes for another.
 *
 * @typedef {{row: number, pixels: Uint8Array, label: number, answer: number}} Wrong pixels: 64 values from 0 to 16; row:
 *   its number among the test rows
 */

/** Test rows are answered so many at a time. */
const AT_ONCE = 256;

/** @typedef {ReturnType<typeof createSession>} Session */

/**
 * @param {Settings} settings
 * @param {(build: (arithmetic: import("../arithmetic/plain.js").Arithmetic) => any) => any} withArithmetic
 */
export function createSession(settings, withArithmetic) {
  const { network, rows, shuffled, loss, seed } = settings;
  const digits = unpackDigits();
  const inputs = centred(digits.images, rows);
  const labels = digits.labels.slice();
  labels.set(shuffledLabels(digits.labels, rows, shuffled, seed));
  const shape = layersOf(network);
  const most = Math.max(rows, AT_ONCE);
  const { model, full, some } = withArithmetic((arithmetic) => ({
    model: createModel(arithmetic, shape, loss, padded(most)),
    full: createBatch(arithmetic, shape.layers[0], rows),
    some: createBatch(arithmetic, shape.layers[0], most),
  }));
  full.fill(range(0, rows), inputs, labels);

  const start = startOf(shape, seed);
  const x = start.slice();
  const g = new Float64Array(model.dim);
  let step = 0;
  let random = mersenneTwister(seed);

  const problem = {
    dim: model.dim,
    gradient: model.gradient,
    full,
    /** @param {number} count */
    draw: (count) => some.fill(Array.from({ length: count }, () => random.word() % rows), inputs, labels),
    /** @param {number} size */
    *pieces(size) {
      for (let k = 0; k < rows; k += size) yield some.fill(range(k, Math.min(k + size, rows)), inputs, labels);
    },
  };
  const advance = createStepper(problem);

  /** What the network takes rows for. @param {number} from @param {number} to */
  function answers(from, to) {
    const out = new Uint8Array(to - from);
    for (let k = from; k < to; k += AT_ONCE) {
      const part = some.fill(range(k, Math.min(k + AT_ONCE, to)), inputs, labels);
      model.value(x, part);
      out.set(largest(model.outputs, part), k - from);
    }
    return out;
  }

  /** @param {number} from @param {number} to */
  function accuracy(from, to) {
    const right = answers(from, to).filter((answer, i) => answer === labels[from + i]).length;
    return right / (to - from);
  }

  /** @param {number[]} losses @param {number[]} gradientNorms @returns {Progress} */
  function progress(losses, gradientNorms) {
    const testAccuracy = accuracy(rows, IMAGES);
    const found = model.gradient(x, full, g);
    const right = largest(model.outputs, full).filter((answer, i) => answer === labels[i]).length;
    return {
      step, loss: found, gradientNorm: norm(g), trainAccuracy: right / rows, testAccuracy,
      diverged: !Number.isFinite(found),
      losses: Float64Array.from(losses), gradientNorms: Float64Array.from(gradientNorms),
    }; // prettier-ignore
  }

  return {
    settings, model, full, x, problem,
    /** @param {import("./rules.js").Rule} rule @param {number} steps */
    step(rule, steps) {
      checked(rule);
      /** @type {number[]} */
      const losses = [];
      /** @type {number[]} */
      const norms = [];
      for (let i = 0; i < steps; i++) {
        const seen = advance(x, rule);
        losses.push(seen.loss);
        norms.push(seen.gradientNorm);
        step++;
        if (!Number.isFinite(seen.loss)) break;
      }
      return progress(losses, norms);
    },
    /** Test digits that are taken for others, the first ones. @param {number} limit */
    wrong(limit) {
      /** @type {Wrong[]} */
      const found = [];
      answers(rows, IMAGES).forEach((answer, row) => {
        const label = labels[rows + row];
        if (answer === label || found.length === limit) return;
        const at = (rows + row) * PIXELS;
        found.push({ row, pixels: digits.images.slice(at, at + PIXELS), label, answer });
      });
      return found;
    },
    rewind() {
      x.set(start);
      step = 0;
      random = mersenneTwister(seed);
      return progress([], []);
    },
    weights: () => x.slice(),
    /** Steps since the start. */
    at: () => step,
  }; // prettier-ignore
}

/** @param {number} from @param {number} to */
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

/** The class of the largest output of each row. @param {ArrayLike<number>} z @param {{rows: number, columns: number}} batch */
function largest(z, { rows, columns }) {
  const answers = new Uint8Array(rows);
  for (let r = 0; r < rows; r++) {
    let best = 0;
    for (let c = 1; c < CLASSES; c++) if (z[c * columns + r] > z[best * columns + r]) best = c;
    answers[r] = best;
  }
  return answers;
}
