// The digits as a network takes them: training rows by a fixed split, a share of their labels shuffled, test rows.

import { randomWords } from "../../dynamics/random.js";
import { padded } from "../network/model.js";
import { IMAGES, PIXELS } from "../digits/unpack.js";

/** @typedef {import("../network/model.js").Batch} Batch */

/** Keeps the words that shuffle labels apart from others with the same seed. */
const FOR_LABELS = 0x5eed;

/**
 * The pixels of samlib.problems.digits(rows): scaled to [0, 1], each centred with its mean over the training rows.
 *
 * @param {Uint8Array} images @param {number} rows for training, the first ones
 * @returns {Float64Array} 64 numbers an image
 */
export function centred(images, rows) {
  const pixels = Float64Array.from(images, (value) => value / 16);
  for (let i = 0; i < PIXELS; i++) {
    let sum = 0;
    for (let k = 0; k < rows; k++) sum += pixels[k * PIXELS + i];
    const mean = sum / rows;
    for (let k = 0; k < IMAGES; k++) pixels[k * PIXELS + i] -= mean;
  }
  return pixels;
}

/**
 * The labels of the training rows after a share of them, in a random order, has passed its label on to the next one of
 * them, and the last one to the first. Labels keep their frequencies; about one in ten stays right by chance.
 *
 * @param {Uint8Array} labels @param {number} rows @param {number} share from 0 to 1 @param {number} seed
 */
export function shuffledLabels(labels, rows, share, seed) {
  const words = randomWords(seed ^ FOR_LABELS, 0, rows);
  const order = Array.from({ length: rows }, (_, k) => k).sort((a, b) => words[a] - words[b] || a - b);
  const chosen = order.slice(0, Math.round(share * rows));
  const out = labels.slice(0, rows);
  chosen.forEach((row, i) => (out[chosen[(i + 1) % chosen.length]] = labels[row]));
  return out;
}

/**
 * A batch that can hold up to `most` of the images, as the first layer takes them.
 *
 * @param {import("../arithmetic/plain.js").Arithmetic} arithmetic @param {import("../network/model.js").Model} model
 * @param {import("../network/layers.js").Layer} first @param {number} most
 */
export function createBatch(arithmetic, model, { fan, positions, taps }, most) {
  const blocks = fan * positions;
  // Where a block comes from: a pixel of the image, or nowhere.
  const pixels = taps ?? Array.from({ length: PIXELS }, (_, i) => i);
  const batch = {
    rows: 0,
    total: 0,
    columns: 0,
    spaces: model.spacesFor(padded(most)),
    patches: arithmetic.alloc(blocks * padded(most)),
    labels: new Uint8Array(most),
    /**
     * Put these rows of the data into the batch.
     *
     * @param {ArrayLike<number>} chosen @param {Float64Array} inputs @param {ArrayLike<number>} labels
     * @param {number} [total] rows of which these are a part
     */
    fill(chosen, inputs, labels, total = chosen.length) {
      const [rows, columns] = [chosen.length, padded(chosen.length)];
      Object.assign(batch, { rows, columns, total });
      for (let block = 0; block < blocks; block++) {
        const [pixel, to] = [pixels[block], block * columns];
        if (pixel < 0) batch.patches.fill(0, to, to + columns);
        else {
          for (let r = 0; r < rows; r++) batch.patches[to + r] = inputs[chosen[r] * PIXELS + pixel];
          batch.patches.fill(0, to + rows, to + columns);
        }
      }
      for (let r = 0; r < rows; r++) batch.labels[r] = labels[chosen[r]];
      return batch;
    },
  };
  return batch;
}
