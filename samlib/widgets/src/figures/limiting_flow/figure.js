// The figure "LimitingFlow": a real network is trained by SAM on the page, and its λ₁ and trace are compared
// with the limiting flows of the theorems, which are integrated on the page, too.
//
// The data flows one way: state → runs in the worker (laboratory.js) → pictures (limiting-flow-plots.js).

import { button, labelled, nextSeed, numberField, player, traitControls } from "../../shared/controls.js";
import { html } from "../../shared/dom.js";
import { flowAt } from "../../dynamics/flow.js";
import { count, number } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line, method } from "../../shared/legend.js";
import { createLaboratory } from "./laboratory.js";
import { createFlowPlots } from "./plots.js";
import { POINTS, interpolatingNetwork } from "../../dynamics/network.js";
import { linksOf } from "../../shared/permalink.js";
import { CHECKPOINTS, MOST_STEPS, errorOf, flowsOf } from "./training.js";

/** @typedef {import("./training.js").Settings & {frame: number}} State the synchronized traits */
/** @typedef {import("./training.js").Settings} Settings */
/** @typedef {import("../../dynamics/flow.js").Regularizer} Regularizer */

/**
 * A finished run: what it depended on, and its largest relative distance to either flow.
 *
 * @typedef {Settings & Record<Regularizer, number>} Trial
 */

/** @typedef {ReturnType<typeof createBench>} Bench */

/** @type {(keyof State)[]} */
const NAMES = ["network", "rho", "lr", "batch_size", "seed", "time", "frame"];

/** So many runs a sweep makes along each of ρ and η. */
const SWEEP = 7;

/** A run that is farther from the start than this many times the weights' length has diverged. */
const FAR = 100;

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderLimitingFlow(context) {
  const frame = createFrame(context, { names: NAMES, redrawOnly: ["frame"] });
  const bench = createBench(frame.state, frame.redraw);
  const plots = createFlowPlots(Object.assign(frame, { bench }));
  const play = player({ linear: true, onFrame: (n, settled) => frame.update({ frame: n }, settled) });
  const keys = Array.from({ length: CHECKPOINTS + 1 }, (_, n) => n);
  const controls = traitControls(frame, {
    rho: { label: "Radius ρ" },
    lr: { label: "Learning rate η" },
    batch_size: { label: "Batch size m", integer: true, scale: "linear" },
    time: { label: "Time τ" },
  });
  const network = seedField(
    "network", "Network", "Seed of the network and its data", "New network", "Another network and other data",
  ); // prettier-ignore
  const drawn = seedField("seed", "Draw", "Seed of the mini-batches", "New draw", "Other mini-batches");
  const seeds = [network, drawn];
  const sweep = button({
    label: "Train with several ρ and several η", text: "Sweep", className: "samlib-small",
    onPress: () => bench.sweep(settingsOfSweep(frame)),
  }); // prettier-ignore
  sweep.dataset.control = "sweep";
  plots.sweepable.append(sweep);
  controls.el.append(html("div", { class: "samlib-fields" }, ...seeds.flatMap((s) => [s.el, s.next])));

  /** @param {"network" | "seed"} trait @param {string} text @param {string} label @param {string} next @param {string} title */
  function seedField(trait, text, label, next, title) {
    const limits = frame.config.limits[trait];
    const field = labelled(text, numberField({
      name: trait, label, limits, integer: true, onInput: (value) => frame.update({ [trait]: value }),
    })); // prettier-ignore
    const another = button({
      label: title, text: next, onPress: () => frame.update({ [trait]: nextSeed(frame.state[trait], limits) }),
    }); // prettier-ignore
    another.dataset.control = `next-${trait}`;
    return {
      el: field.el,
      next: another,
      show: () => field.show(frame.state[trait]),
      /** @param {boolean} disabled */
      disable(disabled) {
        another.disabled = disabled;
        for (const input of field.el.querySelectorAll("input")) input.disabled = disabled;
      },
    };
  }

  const dismount = frame.mount({
    className: "samlib-flow",
    choices: null,
    hint: "Change ρ, η or the batch size: the network trains again. Drag across a picture to go through time.",
    legend: legend(),
    stage: plots.plots.map((plot) => plot.el),
    player: play,
    controls: controls.el,
    handles: [],
    compute: bench.compute,
    draw() {
      const { state } = frame;
      controls.show();
      for (const seed of seeds) seed.show();
      drawn.disable(state.batch_size === POINTS); // the full batch leaves nothing to chance
      sweep.disabled = bench.waiting > 0;
      frame.root.setAttribute("aria-busy", String(bench.busy));
      play.show(state.frame, keys, whenOf(bench));
      plots.draw();
    },
    describe: () => describe(bench),
    ...linksOf(frame, {
      labels: { rho: "ρ", lr: "η", batch_size: "m", time: "τ", frame: "frame" },
      whole: ["network", "batch_size", "seed", "frame"],
    }),
    dispose() {
      bench.dispose();
      plots.plots.forEach((plot) => plot.dispose());
    },
  });
  return dismount;
}

/**
 * The last run and what is known of earlier ones.
 *
 * @param {State} state @param {() => void} redraw
 */
function createBench(state, redraw) {
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
      return !(Math.hypot(...x) <= FAR * Math.hypot(...ground.fitted));
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

  /** @param {Settings} settings @param {import("./training.js").Course} course @param {import("./laboratory.js").Flows} flows */
  function note(settings, course, flows) {
    const trial = { ...settings, top: errorOf(course, flows, "top"), trace: errorOf(course, flows, "trace") };
    const again = trials.findIndex((t) => same(settingsOf(t), settings));
    if (again >= 0) trials.splice(again, 1);
    trials.push(trial);
  }
  return bench;
}

/** @param {Settings} state @returns {Settings} */
const settingsOf = ({ network, rho, lr, batch_size, seed, time }) => ({ network, rho, lr, batch_size, seed, time });

/** @param {Settings} a @param {Settings} b */
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** @param {Settings} a @param {Settings} b */
const sameGround = (a, b) => a.network === b.network && a.time === b.time;

/**
 * Several ρ at the η shown and several η at the ρ shown, over what the sliders cover; the quick runs first.
 *
 * @param {import("../../shared/frame.js").Frame<State>} frame
 * @returns {Settings[]}
 */
function settingsOfSweep({ state, config }) {
  const along = (/** @type {"rho" | "lr"} */ name) => {
    const [low, high] = config.sliders[name];
    return Array.from({ length: SWEEP }, (_, i) => ({
      ...settingsOf(state), [name]: Number((high * (low / high) ** (i / (SWEEP - 1))).toPrecision(2)),
    })); // prettier-ignore
  };
  return [...along("rho"), ...along("lr")].sort((a, b) => b.lr * b.rho * b.rho - a.lr * a.rho * a.rho);
}

/** The name of SAM on batches of m. @param {number} size */
const nameOf = (size) => (size === 1 ? "1-SAM" : size === POINTS ? "full-batch SAM" : `SAM on batches of ${size}`);

/** @param {Bench} bench */
function whenOf(bench) {
  const { course } = bench;
  if (!course) return "training";
  const n = bench.shown();
  return `τ = ${number(course.tau[n])}, step ${count(course.steps[n])}`;
}

/** A share in per cent. @param {number} share */
const percent = (share) => `${number(100 * share, 2)} %`;

/** One sentence that says what is shown. @param {Bench} bench */
function describe(bench) {
  const { course, settings, ground } = bench;
  if (!course || !settings || !ground) return "The network is being fitted by gradient descent.";
  const { rho, lr, batch_size, time } = settings;
  const n = bench.shown();
  const who = `${nameOf(batch_size)} with η = ${number(lr)} and ρ = ${number(rho)}`;
  const when = `Step ${count(course.steps[n])}, τ = ${number(course.tau[n])}: `;
  if (bench.diverged(n)) return `${when}${who} diverges, because η is too large for it.`;
  if (Number.isNaN(course.top[n])) return `${when}${who} is too far from Γ for a comparison with the flows.`;
  if (course.tau[n] > ground.flows.top.horizon) {
    return `${when}one step of ${who} goes farther than the flows are followed, to τ = ηρ².`;
  }
  const names = { top: "λ₁", trace: "trace" };
  const parts = flowsOf(batch_size).map((name) => {
    const flow = flowAt(ground.flows[name], name, course.tau[n]);
    const value = `${names[name]} = ${number(course[name][n])}`;
    if (Number.isNaN(flow)) {
      const end = number(ground.flows[name].end);
      return `${value} (the limiting flow ended at τ = ${end}, where ${name === "top" ? "λ₁ meets λ₂" : "λ₅ vanishes"})`;
    }
    const apart = percent(Math.abs(course[name][n] - flow) / flow);
    return `${value} (limiting flow of ${the(name)} ${number(flow)}, ${apart} apart)`;
  });
  const errors = flowsOf(batch_size).map((name) => errorOf(course, ground.flows, name));
  const most = errors.some(Number.isNaN) ? "" : `, ${errors.map(percent).join(" and ")} at most on the way`;
  const angle = `the cosine between ∇L and v₁ is ${number(course.alignment[n])}`;
  const last = course.steps[CHECKPOINTS];
  const more = bench.busy ? `; training, ${Math.round((100 * course.done) / CHECKPOINTS)} % done` : "";
  const short = last === MOST_STEPS && course.tau[CHECKPOINTS] < time * 0.999
    ? ` After ${count(last)} steps the run is stopped, before τ = ${number(time)}.`
    : ""; // prettier-ignore
  return `${when}${who} has ${parts.join(" and ")}${most}; ${angle}${more}.${short}`;
}

/** @param {Regularizer} name */
const the = (name) => (name === "top" ? "λ₁" : "the trace");

/** What the lines and marks are. */
function legend() {
  return createLegend([
    method("sam", "full-batch SAM (m = 5)"),
    method("mini-batch", "SAM on batches of 2 to 4"),
    method("one-sam", "1-SAM (m = 1)"),
    ["worst", [line()], "limiting flow of λ₁"],
    ["average", [line()], "limiting flow of the trace"],
    ["gradient-descent", [line()], "as gradient descent had fitted it"],
  ]);
}
