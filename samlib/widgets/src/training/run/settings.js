// What a run depends on, and whether it makes sense.

import { IMAGES } from "../digits/unpack.js";
import { LOSSES } from "../network/losses.js";

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

/** Is it a whole number in these bounds? @param {unknown} value @param {number} least @param {number} most */
const isWhole = (value, least, most) =>
  Number.isInteger(value) && least <= Number(value) && Number(value) <= most;

/** What holds of settings that make sense, by the name of what does not. @type {Readonly<Record<string, (settings: any) => boolean>>} */
const RULES = {
  "network.kind": ({ network }) => network?.kind === "perceptron" || network?.kind === "convolutional",
  "network.width": ({ network: { kind, width } }) => kind !== "perceptron" || isWhole(width, 1, 1024),
  "network.channels": ({ network: { kind, channels } }) => kind !== "convolutional" || isWhole(channels, 1, 64),
  rows: ({ rows }) => isWhole(rows, 1, IMAGES - 1),
  shuffled: ({ shuffled }) => shuffled >= 0 && shuffled <= 1,
  loss: ({ loss }) => loss in LOSSES,
  seed: ({ seed }) => isWhole(seed, 0, 2 ** 32 - 1),
  precision: ({ precision }) => precision === "float32" || precision === "float64",
};

/** @param {Settings} settings @throws {RangeError} that names what makes no sense */
export function checkedSettings(settings) {
  for (const [name, holds] of Object.entries(RULES)) {
    if (!holds(settings)) throw new RangeError(`${name} does not fit: ${JSON.stringify(settings)}`);
  }
}
