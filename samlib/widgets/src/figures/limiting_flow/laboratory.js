// Where networks are trained: in a Web Worker, so that the page stays quick, or on the page itself where there
// are no workers. The same queue serves both.

import { constants } from "../../schema.js";
import { CHECKPOINTS, companyOf, fittedNetwork, limitingFlows, train } from "./training.js";

/** @typedef {import("./training.js").Settings} Settings */
/** @typedef {import("./training.js").Course} Course */
/** @typedef {import("./training.js").Fitted} Fitted */
/** @typedef {import("./training.js").Flows} Flows */

/**
 * What is asked: a run, which takes the place of one that is waiting, or runs for later, which wait for that.
 *
 * @typedef {{run: Settings} | {sweep: Settings[]}} Request
 */

/** @typedef {{onGamma: Float64Array, fitted: Float64Array, flows: Flows}} Ground */

/**
 * What is answered: the network and its flows before the first run that has them, then how far each run is.
 *
 * @typedef {object} Answer
 * @property {Settings} settings
 * @property {Course} course
 * @property {Ground} [ground] if it is new
 * @property {boolean} swept was it asked for as part of a sweep?
 * @property {number} waiting runs of the sweep that are left
 * @property {number} elapsed ms since the run began
 */

/** For so long (ms) a run is continued without a look at the queue. */
const SLICE = 24;

/** A run that has no more than so much (ms) to go is finished, though a newer one waits. */
const PATIENCE = 250;

/**
 * @param {(answer: Answer) => void} answer
 * @returns {(request: Request) => void}
 */
export function createQueue(answer) {
  /** @type {Settings | null} */
  let wanted = null;
  /** @type {Settings[]} */
  let later = [];
  let working = false;
  /** @type {{fit: Fitted, flows: Flows, time: number} | null} */
  let known = null;

  /** @param {Settings} settings */
  function groundFor({ network, time }) {
    if (known?.fit.seed === network && known.time === time) return known;
    const fit = known?.fit.seed === network ? known.fit : fittedNetwork(network);
    known = { fit, flows: limitingFlows(fit, time), time };
    return known;
  }

  async function work() {
    working = true;
    for (;;) {
      const swept = !wanted;
      const settings = wanted ?? later.shift();
      wanted = null;
      if (!settings) break;
      await run(settings, swept);
    }
    working = false;
  }

  /** @param {Settings} settings @param {boolean} swept */
  async function run(settings, swept) {
    const before = known;
    let due = performance.now() + SLICE;
    const { fit, flows } = groundFor(settings);
    const ground = known === before ? undefined : { onGamma: fit.onGamma, fitted: fit.fitted, flows };
    let news = ground;
    const began = performance.now();
    for (const course of train(fit, settings, companyOf(fit, settings))) {
      const now = performance.now();
      const last = course.done === CHECKPOINTS;
      if (!last && now < due) continue;
      const elapsed = now - began;
      answer({ settings, course, ground: news, swept, waiting: later.length, elapsed });
      news = undefined;
      if (last) return;
      await new Promise((done) => setTimeout(done));
      const rest = (elapsed / Math.max(course.done, 1)) * (CHECKPOINTS - course.done);
      if (wanted && rest > PATIENCE) return;
      due = performance.now() + SLICE;
    }
  }

  return (request) => {
    if ("run" in request) wanted = request.run;
    else later = request.sweep;
    if (!working) work();
  };
}

/** The script of the worker: this one, with all that it needs there of what the bundle lends. */
function workerSource() {
  const { limiting_flow } = constants;
  return `samlibKit=${JSON.stringify({ "schema.js": { constants: { limiting_flow } } })};(${SCRIPT})()`;
}

/**
 * A queue in a worker.
 *
 * @param {(answer: Answer) => void} answer
 * @returns {{ask: (request: Request) => void, dispose: () => void}}
 */
export function createLaboratory(answer) {
  /** @type {Worker | undefined} */
  let worker;
  /** @type {Request[]} what was asked, in case the worker cannot start */
  let asked = [];
  let open = true;
  const deliver = (/** @type {Answer} */ news) => open && answer(news);
  let ask = (/** @type {Request} */ request) => {
    asked.push(request);
    worker?.postMessage(request);
  };
  const here = () => {
    worker?.terminate();
    ask = createQueue(deliver);
    for (const request of asked) ask(request);
  };
  try {
    const address = URL.createObjectURL(new Blob([workerSource()], { type: "text/javascript" }));
    worker = new Worker(address);
    URL.revokeObjectURL(address);
    worker.onmessage = ({ data }) => {
      asked = [];
      deliver(data);
    };
    worker.onerror = here;
  } catch {
    here();
  }
  return {
    ask: (request) => ask(request),
    dispose() {
      open = false;
      ask({ sweep: [] });
      worker?.terminate();
    },
  };
}
