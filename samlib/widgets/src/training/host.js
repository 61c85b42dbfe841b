// Where a run lives: it answers what is asked of it, one thing after the other, in a worker or on the page.

import { TrainingError } from "./errors.js";
import { createGauge } from "./run/measure.js";
import { createSession } from "./run/session.js";
import { checkedSettings } from "./run/settings.js";
import { plainArithmetic } from "./arithmetic/plain.js";
import { withSimd } from "./arithmetic/simd.js";

/** @typedef {import("./run/settings.js").Settings} Settings */

/** What can be asked of a run, by name. @typedef {ReturnType<typeof openRun>} Run */

/** @param {Settings} settings @param {{noWebAssembly?: boolean}} [without] */
export function openRun(settings, { noWebAssembly = false } = {}) {
  checkedSettings(settings);
  if (settings.precision === "float32" && noWebAssembly) throw new TrainingError("no-webassembly");
  const session = createSession(settings, (build) =>
    settings.precision === "float32" ? withSimd(build) : build(plainArithmetic()),
  );
  const gauge = createGauge(session);
  return {
    dim: session.model.dim,
    step: session.step,
    measure: gauge.measure,
    wrong: session.wrong,
    weights: session.weights,
    rewind() {
      gauge.rewind();
      return session.rewind();
    },
  };
}

/** @typedef {{id: number, ask: string, given: any[]}} Question */
/** @typedef {{id: number, result?: any, error?: {code: string, message: string}}} Answer */

/**
 * Answers questions: the first is "open", with the settings.
 *
 * @param {(answer: Answer) => void} answer
 * @returns {(question: Question) => void}
 */
export function createHost(answer) {
  /** @type {any} */
  let run = null;
  return ({ id, ask, given }) => {
    try {
      if (ask === "open") {
        run = openRun(given[0], given[1]);
        answer({ id, result: { dim: run.dim, progress: run.rewind() } });
      } else answer({ id, result: run[ask](...given) });
    } catch (error) {
      const code = error instanceof TrainingError ? error.code : "failed";
      answer({ id, error: { code, message: error instanceof Error ? error.message : String(error) } });
    }
  };
}
