// What a figure asks of a training. It runs in a worker of its own, so that the page stays quick and two of them use two
// cores; on request it runs on the page.
//
//   const { openTraining } = await loadTraining();      // load.js
//   const training = await openTraining({ network: { kind: "perceptron", width: 32 }, rows: 500, shuffled: 0.2,
//                                         loss: "squared", seed: 0, precision: "float32" });
//   await training.step({ name: "sam", lr: 0.2, rho: 0.1 }, 20);   // { step: 20, loss, gradientNorm, … }
//   await training.measure({ eigenvalues: 10, trace: true });      // { eigenvalues, errors, alignment, … }

import { TrainingError } from "./errors.js";
import { createHost } from "./host.js";

/** @typedef {import("./run/settings.js").Settings} Settings */
/** @typedef {import("./run/session.js").Progress} Progress */
/** @typedef {import("./run/session.js").Wrong} Wrong */
/** @typedef {import("./run/measure.js").Wish} Wish */
/** @typedef {import("./run/measure.js").Measurement} Measurement */
/** @typedef {import("./run/rules.js").Rule} Rule */

/**
 * Where it runs, and what the browser is said to lack, for tests.
 *
 * @typedef {{where?: "worker" | "page", pretend?: {noWorker?: boolean, noWebAssembly?: boolean}}} Options
 */

/** @typedef {Settings & Options} TrainingOptions */
/** @typedef {Rule} TrainingRule */

/**
 * A run that answers in the order in which it is asked. What was asked when it is closed is never answered.
 *
 * @typedef {object} Training
 * @property {number} dim how many weights there are
 * @property {Progress} start where it stands at the start
 * @property {(rule: Rule, steps: number) => Promise<Progress>} step
 * @property {(wish?: Wish) => Promise<Measurement>} measure
 * @property {(limit: number) => Promise<Wrong[]>} wrong the first test digits that it takes for others
 * @property {() => Promise<Float64Array>} weights
 * @property {() => Promise<Progress>} rewind back to the same start, with the same draws to come
 * @property {() => void} close
 */

/** @typedef {{openTraining: (options: TrainingOptions) => Promise<Training>}} Library what loadTraining() gives */

/**
 * @param {string} source the script that a worker runs
 * @returns {Library}
 */
export const createLibrary = (source) => ({
  async openTraining({ where = "worker", pretend = {}, ...settings }) {
    const line = where === "page" ? onPage() : inWorker(source, pretend);
    try {
      const { dim, progress } = await line.ask("open", [settings, { noWebAssembly: pretend.noWebAssembly ?? false }]);
      return trainingOver(line, dim, progress);
    } catch (error) {
      line.close();
      throw error;
    }
  },
});

/** @typedef {{ask: (name: string, given: any[]) => Promise<any>, close: () => void}} Line */

/** @param {Line} line @param {number} dim @param {Progress} start @returns {Training} */
const trainingOver = ({ ask, close }, dim, start) => ({
  dim, start, close,
  step: (rule, steps) => ask("step", [rule, steps]),
  measure: (wish = {}) => ask("measure", [wish]),
  wrong: (limit) => ask("wrong", [limit]),
  weights: () => ask("weights", []),
  rewind: () => ask("rewind", []),
}); // prettier-ignore

/** Questions by number, until they are answered. */
function createQuestions() {
  /** @type {Map<number, {done: (result: any) => void, fail: (error: Error) => void}>} */
  const open = new Map();
  let last = 0;
  return {
    /** @param {(id: number) => void} send @returns {Promise<any>} */
    ask: (send) =>
      new Promise((done, fail) => {
        open.set(++last, { done, fail });
        send(last);
      }),
    /** @param {import("./host.js").Answer} answer */
    receive({ id, result, error }) {
      const question = open.get(id);
      open.delete(id);
      if (error) question?.fail(new TrainingError(/** @type {any} */ (error.code), error.message));
      else question?.done(result);
    },
    /** @param {Error} error */
    failAll(error) {
      for (const { fail } of open.values()) fail(error);
      open.clear();
    },
  };
}

/** @param {string} source @param {{noWorker?: boolean}} pretend @returns {Line} */
function inWorker(source, { noWorker = false }) {
  const questions = createQuestions();
  /** @type {Worker} */
  let worker;
  try {
    if (noWorker) throw new TrainingError("no-worker");
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    worker = new Worker(address);
    URL.revokeObjectURL(address);
  } catch {
    throw new TrainingError("no-worker");
  }
  worker.onmessage = ({ data }) => questions.receive(data);
  worker.onerror = () => questions.failAll(new TrainingError("no-worker"));
  return {
    ask: (ask, given) => questions.ask((id) => worker.postMessage({ id, ask, given })),
    close: () => worker.terminate(),
  };
}

/** @returns {Line} */
function onPage() {
  const questions = createQuestions();
  let open = true;
  const receive = createHost((answer) => open && questions.receive(answer));
  return {
    ask: (ask, given) => questions.ask((id) => receive({ id, ask, given })),
    close: () => (open = false),
  };
}
