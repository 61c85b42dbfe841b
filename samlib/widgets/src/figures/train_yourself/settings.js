// What the state asks of the engine.

import { constants } from "../../schema.js";

/** @typedef {import("./figure.js").State} State */

/** What both networks are and learn: of this nothing moves while they train. @param {State} state @returns {import("../../training/api.js").TrainingOptions} */
export const problemOf = ({ network, width, rows, shuffled, loss, seed, precision }) => ({
  network: network === "perceptron" ? { kind: network, width } : { kind: network, channels: constants.train_yourself.channels },
  rows, shuffled, loss, seed, precision,
}); // prettier-ignore

/** The rules of both runs: all of this may move. @param {State} state @returns {import("../../training/api.js").TrainingRule[]} */
export const rulesOf = ({ first, second, lr, rho, batch }) => [first, second].map((name) => ({ name, lr, rho, batch }));
