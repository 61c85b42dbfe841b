// Maps computed by the graphics card, so many steps a pass that the card answers in time: a driver ends what takes
// too long, and the reader's hand is not to wait.

import { constants } from "../../schema.js";
import { createQueue } from "./queue.js";

/**
 * Cells a side, coarse to fine, and about how long (ms) a pass is to take: on a card, which draws the page as well, and on
 * one that the processor makes believe, where each pass costs more beside its work.
 */
const CARD = { sizes: [64, 128, 256, 512], pass: 16 };
const SOFTWARE = { sizes: [32, 64, 128, 256], pass: 50 };

/** A first map is to take no longer than a frame leaves for it (ms). */
const FRAME = 24;

/** Steps of a start in a millisecond, before any is measured. */
const GUESS = 1e5;

/**
 * @param {import("./card.js").Card} card @param {(field: import("./queue.js").Field) => void} answer
 */
export function createPasses(card, answer) {
  const { sizes: all, pass } = card.isSoftware ? SOFTWARE : CARD;
  let rate = GUESS;

  /** @param {import("./ends.js").Task} task */
  function sizes(task) {
    const quick = all.filter((size) => size * size * task.steps <= rate * FRAME);
    return all.slice(Math.max(quick.length - 1, 0));
  }

  /** @param {import("./ends.js").Task} task @param {number} size @returns {import("./queue.js").Job} */
  function begin(task, size) {
    const map = card.begin(task, size);
    const block = size * size * constants.basin_map.check;
    let [steps, began] = [0, 0];
    let concluding = false;

    /** Give the card some steps to do. */
    function advance() {
      const blocks = Math.max(1, Math.floor((rate * pass) / block));
      [steps, began] = [map.at(), performance.now()];
      map.advance(blocks);
    }

    return {
      size,
      work() {
        if (began && !map.isReady()) return "wait";
        if (concluding) return map.read();
        if (began) rate += 0.3 * (((map.at() - steps) * size * size) / Math.max(performance.now() - began, 0.1) - rate);
        concluding = map.at() >= task.steps;
        if (concluding) map.conclude();
        else advance();
        return "wait";
      },
    };
  }

  return createQueue({ sizes, begin, answer, slice: FRAME });
}
