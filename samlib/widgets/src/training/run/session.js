// One run: a network, its data, where it is, and what can be asked of it.

import { unpackDigits, IMAGES, PIXELS } from "../digits/unpack.js";
import { layersOf, CLASSES } from "../network/layers.js";
import { createModel, padded, rowsAtOnce } from "../network/model.js";
import { startOf } from "../network/start.js";
import { mersenneTwister } from "../../dynamics/mersenne.js";
import { centred, createBatch, shuffledLabels } from "./data.js";
import { checked, createStepper, norm } from "./rules.js";

/** @typedef {import("./settings.js").Settings} Settings */

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
  const atOnce = rowsAtOnce(shape.layers);
  const sizes = pieces(0, rows, atOnce).map(({ length }) => length);
  const { model, full, some } = withArithmetic((arithmetic) => {
    const model = createModel(arithmetic, shape, loss, padded(atOnce));
    const batch = (/** @type {number} */ size) => createBatch(arithmetic, model, shape.layers[0], size);
    return { model, full: sizes.map(batch), some: [atOnce, ...sizes.slice(1)].map(batch) };
  });
  pieces(0, rows, atOnce).forEach((piece, i) => full[i].fill(piece, inputs, labels, rows));

  const start = startOf(shape, seed);
  const x = start.slice();
  const g = new Float64Array(model.dim);
  let step = 0;
  let random = mersenneTwister(seed);

  /** Rows as parts that stay in the cache; what was taken before is overwritten. @param {number[]} chosen */
  const taken = (chosen) =>
    pieces(0, chosen.length, atOnce).map((piece, i) =>
      some[i].fill(chosen.slice(piece[0], piece[0] + piece.length), inputs, labels, chosen.length),
    );

  const problem = {
    dim: model.dim,
    rows,
    gradient: model.gradient,
    full,
    /** @param {number} count */
    draw: (count) => taken(Array.from({ length: count }, () => random.word() % rows)),
    /** @param {number} size */
    *pieces(size) {
      for (const piece of pieces(0, rows, size)) yield taken(piece);
    },
  };
  const advance = createStepper(problem);

  /** What the network takes test rows for. */
  function answers() {
    return pieces(rows, IMAGES, atOnce).flatMap((piece) => {
      const parts = taken(piece);
      model.value(x, parts);
      return largest(model.outputsOf(parts[0]), parts[0]);
    });
  }

  /** How many answers are right, for the rows from one on. @param {number[]} answers @param {number} from */
  const shareRight = (answers, from) =>
    answers.filter((answer, i) => answer === labels[from + i]).length / answers.length;

  /** @param {number[]} losses @param {number[]} gradientNorms @returns {Progress} */
  function progress(losses, gradientNorms) {
    const testAccuracy = shareRight(answers(), rows);
    const found = model.gradient(x, full, g);
    const trainAnswers = full.flatMap((/** @type {import("./data.js").Batch} */ part) => largest(model.outputsOf(part), part));
    return {
      step, loss: found, gradientNorm: norm(g), trainAccuracy: shareRight(trainAnswers, 0), testAccuracy,
      diverged: !Number.isFinite(found),
      losses: Float64Array.from(losses), gradientNorms: Float64Array.from(gradientNorms),
    }; // prettier-ignore
  }

  return {
    settings, model, full, x, problem,
    /** @param {import("./rules.js").Rule} rule @param {number} steps */
    step(rule, steps) {
      checked(rule, rows);
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
      answers().forEach((answer, row) => {
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

/** The numbers from one to before another, so many at a time. @param {number} from @param {number} to @param {number} size */
function pieces(from, to, size) {
  const starts = Array.from({ length: Math.ceil((to - from) / size) }, (_, i) => from + i * size);
  return starts.map((k) => Array.from({ length: Math.min(size, to - k) }, (_, i) => k + i));
}

/** The class of the largest output of each row. @param {ArrayLike<number>} z @param {{rows: number, columns: number}} batch */
function largest(z, { rows, columns }) {
  return Array.from({ length: rows }, (_, r) => {
    let best = 0;
    for (let c = 1; c < CLASSES; c++) if (z[c * columns + r] > z[best * columns + r]) best = c;
    return best;
  });
}
