// Maps one after the other, coarse first and then finer, a slice of time each; the newest task takes the place of
// those before it, but a first, coarse map is finished, so that there is one to see while something is dragged.

/** @typedef {import("./ends.js").Task} Task */

/**
 * A map that is finished: its cells (ends.js), `size` a side, rows from the bottom.
 *
 * @typedef {object} Field
 * @property {Task} task
 * @property {number} size
 * @property {Float32Array} cells
 * @property {boolean} last is there no finer one to come?
 */

/**
 * A map under way: `work` goes on with it, and returns the cells when it is done, "wait" while someone else is at work.
 *
 * @typedef {{size: number, work: () => Float32Array | "wait" | null}} Job
 */

/**
 * @param {object} how
 * @param {(task: Task) => number[]} how.sizes of the maps of a task, coarse to fine
 * @param {(task: Task, size: number) => Job} how.begin
 * @param {(field: Field) => void} how.answer
 * @param {number} how.slice ms without a look at what was asked meanwhile
 */
export function createQueue({ sizes, begin, answer, slice }) {
  /** @type {Task | null} */
  let wanted = null;
  /** @type {{task: Task, job: Job, first: boolean, later: number[]} | null} */
  let now = null;
  let timer = 0;

  function take() {
    if (!wanted || now?.first) return;
    const [size, ...later] = sizes(wanted);
    now = { task: wanted, job: begin(wanted, size), first: true, later };
    wanted = null;
  }

  /** Go on with what is under way. @returns {boolean} is there more to do at once? */
  function goOn() {
    if (!now) return false;
    const { task, job, later } = now;
    const cells = job.work();
    if (!cells) return true;
    if (cells === "wait") return false;
    const [size, ...rest] = later;
    const last = size === undefined;
    now = last || wanted ? null : { task, job: begin(task, size), first: false, later: rest };
    answer({ task, size: job.size, cells, last });
    return true;
  }

  function work() {
    timer = 0;
    const due = performance.now() + slice;
    do take();
    while (goOn() && performance.now() < due);
    if (now || wanted) timer = /** @type {any} */ (setTimeout(work));
  }

  return {
    /** @param {Task} task */
    ask(task) {
      wanted = task;
      if (!timer) work();
    },
    dispose() {
      clearTimeout(timer);
      wanted = now = null;
    },
  };
}
