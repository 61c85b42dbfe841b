// Maps computed by the processor, a few rows at a time.

import { CELL, computeRows, createFollower } from "./ends.js";
import { createQueue } from "./queue.js";

/** Cells a side, coarse to fine. */
const SIZES = [32, 64, 128];

/** For so long (ms) rows are computed without a look at what was asked meanwhile. */
const SLICE = 25;

/** @param {(field: import("./queue.js").Field) => void} answer */
export const createRows = (answer) => createQueue({ sizes: () => SIZES, begin, answer, slice: SLICE });

/** @param {import("./ends.js").Task} task @param {number} size @returns {import("./queue.js").Job} */
function begin(task, size) {
  const follower = createFollower(task);
  const cells = new Float32Array(CELL * size * size);
  let row = 0;
  return {
    size,
    work() {
      computeRows(follower, task, size, row, row + 1, cells);
      row += 1;
      return row === size ? cells : null;
    },
  };
}
