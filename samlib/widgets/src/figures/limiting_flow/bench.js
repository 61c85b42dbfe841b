// The last run of the figure "LimitingFlow", and what is known of earlier ones.

import { interpolatingNetwork } from "../../dynamics/network.js";
import { constants } from "../../schema.js";
import { createLaboratory } from "./laboratory.js";
import { CHECKPOINTS, errorOf } from "./training.js";

/** @typedef {Omit<import("./training.js").Settings, "panel"> & {frame: number, panels: string[]}} State the synchronized traits */
/** @typedef {import("./training.js").Settings} Settings */

/**
 * A finished run: what it depended on, and its largest relative distance to either flow.
 *
 * @typedef {Settings & Record<import("../../dynamics/gamma.js").Regularizer, number>} Trial
 */

/** @typedef {ReturnType<typeof createBench>} Bench */

/**
 * The last run and what is known of earlier ones.
 *
 * @param {State} state @param {() => void} redraw
 */
export function createBench(state, redraw) {
  const laboratory = createLaboratory(receive);
  /** @type {Trial[]} */
  const trials = [];
  const bench = {
    state,
    trials,
    /** @type {Settings | null} of the run that is shown */
    settings: null,
    /** @type {import("./training.js").Course | null} */
    course: null,
    /** @type {(import("./laboratory.js").Ground & {network: import("../../dynamics/network.js").Network}) | null} */
    ground: null,
    busy: true,
    /** Runs of a sweep that are not finished. */
    waiting: 0,
    compute() {
      const settings = settingsOf(state);
      if (!bench.busy && isShown(settings)) return; // a panel was opened that needs nothing new
      if (bench.settings && !sameGround(bench.settings, settings)) bench.sweep([]);
      bench.busy = true;
      laboratory.ask({ run: settings });
    },
    /** @param {Settings[]} settings */
    sweep(settings) {
      bench.waiting = settings.length;
      laboratory.ask({ sweep: settings });
    },
    dispose: laboratory.dispose,
    /** Is the run a different matter at this checkpoint: NaN, or far away? @param {number} n */
    diverged(n) {
      const { course, ground } = bench;
      if (!course || !ground) return false;
      const dim = ground.fitted.length;
      const x = course.x.subarray(n * dim, (n + 1) * dim);
      return !(Math.hypot(...x) <= constants.limiting_flow.far * Math.hypot(...ground.fitted));
    },
    /** The checkpoint shown; while a run is on its way, the last one that is known. */
    shown: () => Math.min(state.frame, bench.course?.done ?? 0),
  };

  /** @param {import("./laboratory.js").Answer} answer */
  function receive({ settings, course, ground, swept, waiting, elapsed }) {
    if (ground) bench.ground = { ...ground, network: interpolatingNetwork(settings.network).network };
    const finished = course.done === CHECKPOINTS;
    if (finished && bench.ground) note(settings, course, bench.ground.flows);
    // For benchmarks/widgets.py; only the last one is kept.
    performance.clearMeasures("samlib:run");
    if (finished) performance.measure("samlib:run", { start: performance.now() - elapsed, duration: elapsed });
    if (swept) bench.waiting = finished ? waiting : waiting + 1;
    else if (finished || !isShown(settings)) {
      Object.assign(bench, { settings, course });
      bench.busy = !finished || !same(settings, settingsOf(state));
    }
    redraw();
  }

  /**
   * Is all of this run shown already? Who goes to and fro between settings may have asked for it twice.
   *
   * @param {Settings} settings
   */
  const isShown = (settings) =>
    bench.settings !== null && same(bench.settings, settings) && bench.course?.done === CHECKPOINTS;

  /** @param {Settings} of @param {import("./training.js").Course} course @param {import("./laboratory.js").Flows} flows */
  function note(of, course, flows) {
    /** @type {Settings} */
    const settings = { ...of, panel: "function" }; // no matter for the distance
    const trial = {
      ...settings,
      top_eigenvalue: errorOf(course, flows, "top_eigenvalue"),
      trace: errorOf(course, flows, "trace"),
    };
    const again = trials.findIndex(({ top_eigenvalue: _, trace: __, ...t }) => same(t, settings));
    if (again >= 0) trials.splice(again, 1);
    trials.push(trial);
  }
  return bench;
}

/** @param {State} state @returns {Settings} */
export const settingsOf = ({ network, rho, lr, batch_size, seed, time, flow, panels }) => ({
  network, rho, lr, batch_size, seed, time, panel: panels.includes("plane") ? "plane" : "function",
  flow: batch_size === constants.limiting_flow.points ? flow : "limit", // the others have no flow of their own
}); // prettier-ignore

/** @param {Settings} a @param {Settings} b */
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** @param {Settings} a @param {Settings} b */
const sameGround = (a, b) => a.network === b.network && a.time === b.time;
