// The figure "SpectrumInTraining": the eigenvalues of the Hessian while gradient descent, SAM and 1-SAM train
// a network. Everything was computed by samlib; here it is only read.
//
// The data flows one way: state and data (sweep.js) → pictures (plots.js).

import { constants } from "../../schema.js";
import { choice } from "../../shared/buttons.js";
import { html } from "../../shared/dom.js";
import { labelled, nearest, numberField, stops } from "../../shared/fields.js";
import { count } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, method } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { player } from "../../shared/player.js";
import { describe } from "./describe.js";
import { createSweepPlots } from "./plots.js";
import { pythonOf } from "./python.js";
import { readSweep } from "./sweep.js";
import { tableOf } from "./table.js";

/**
 * @typedef {object} State
 * @property {number} rho
 * @property {number} step of the full batch
 * @property {"all" | "gradient descent" | "SAM" | "1-SAM"} method
 */

/** @typedef {import("./sweep.js").Run} Run */
/** @typedef {import("../../shared/frame.js").Frame<State> & {sweep: import("./sweep.js").Sweep, now: () => {rho: number, step: number, runs: readonly Run[]}}} View */

/** @type {Record<State["method"], readonly Run[]>} */
const SHOWN = /** @type {any} */ (constants.spectrum_in_training.shown);

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderSpectrumInTraining(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context, { redrawOnly: ["rho", "step", "method"] });
  const sweep = readSweep(frame.config.sweep);
  const { rhos, steps } = sweep;
  const view = Object.assign(frame, {
    sweep,
    /** What is shown, by number: ρ, the checkpoint, and the runs. */
    now: () => ({
      rho: rhos.indexOf(frame.state.rho),
      step: steps.indexOf(frame.state.step),
      runs: SHOWN[frame.state.method],
    }),
  });
  const plots = createSweepPlots(view);
  // The checkpoints are played one after the other, though the first are closer to each other in time.
  const keys = steps.map((_, k) => k);
  const play = player({ linear: true, onFrame: (k, settled) => frame.update({ step: steps[k] }, settled) });
  const { methods, rho, step } = createControls(frame, rhos, steps);
  return frame.mount({
    className: "samlib-sweep",
    choices: methods.el,
    hint: "Change ρ: how sharp may the network become while it learns?",
    legend: legend(),
    stage: [plots.picture],
    player: play,
    main: rho.el,
    panels: plots.panels,
    controls: html("div", { class: "samlib-controls" }, html("div", { class: "samlib-fields" }, step.el)),
    handles: [],
    compute() {},
    draw() {
      const { state } = frame;
      methods.show(state.method);
      rho.show(state.rho);
      step.show(state.step);
      play.show(view.now().step, keys, `step ${count(state.step)} of ${count(steps[steps.length - 1])}`);
      plots.draw();
    },
    describe: () => describe(view),
    table: () => tableOf(view),
    python: () => pythonOf(view),
    ...linksThatSnap(frame, { rho: rhos, step: steps }),
    dispose: () => plots.plots.forEach((plot) => plot.dispose()),
  });
}

/** @param {import("../../shared/frame.js").Frame<State>} frame @param {number[]} rhos @param {number[]} steps */
function createControls(frame, rhos, steps) {
  const methods = choice({
    legend: "Methods shown",
    options: [["all", "All three"], ["gradient descent", "GD"], ["SAM", "SAM"], ["1-SAM", "1-SAM"]],
    onInput: (value) => frame.update({ method: /** @type {State["method"]} */ (value) }),
  }); // prettier-ignore
  const rho = stops({
    label: "Radius ρ", name: "rho", values: rhos, onInput: (value) => frame.update({ rho: value }),
  }); // prettier-ignore
  const step = labelled("Step", numberField({
    name: "step", label: "Step shown, the nearest checkpoint", limits: frame.config.limits.step, integer: true,
    snap: (value) => nearest(steps, value),
    onInput: (value) => {
      frame.pause();
      frame.update({ step: value });
    },
  })); // prettier-ignore
  return { methods, rho, step };
}

/**
 * Links whose ρ and step are moved to what was computed, with a message.
 *
 * @param {import("../../shared/frame.js").Frame<State>} frame @param {Record<"rho" | "step", number[]>} values
 */
function linksThatSnap(frame, values) {
  const labels = { rho: "ρ", step: "step" };
  const links = linksOf({ ...frame, whole: [] }, { labels }); // the nearest is a whole number
  return {
    writeLink: links.writeLink,
    /** @param {Map<string, string>} entries @param {string[]} messages */
    readLink(entries, messages) {
      const state = links.readLink(entries, messages);
      for (const name of /** @type {const} */ (["rho", "step"])) {
        const value = nearest(values[name], state[name]);
        if (value !== state[name]) messages.push(`${labels[name]} = ${state[name]} was moved to ${value}, the nearest computed`);
        state[name] = value;
      }
      return state;
    },
  };
}

/** What the marks mean. */
function legend() {
  return createLegend([
    method("gradient_descent", "gradient descent (GD)"),
    method("sam", "full-batch SAM"),
    method("one_sam", "1-SAM"),
  ]);
}
