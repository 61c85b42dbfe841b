// The figure "LimitingFlow": a real network is trained by SAM on the page, and its λ₁ and trace are compared
// with the limiting flows of the theorems, which are integrated on the page, too.
//
// The data flows one way: state → runs in the worker (bench.js, laboratory.js) → pictures (plots.js).

import { button, choice } from "../../shared/buttons.js";
import { html } from "../../shared/dom.js";
import { labelled, nextSeed, numberField } from "../../shared/fields.js";
import { constants } from "../../schema.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, method } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { player } from "../../shared/player.js";
import { traitControls } from "../../shared/trait-controls.js";
import { createBench, settingsOf } from "./bench.js";
import { describe, whenOf } from "./describe.js";
import { methodOf } from "./panel.js";
import { createFlowPlots } from "./plots.js";
import { pythonOf } from "./python.js";
import { tableOf } from "./table.js";
import { CHECKPOINTS } from "./training.js";

/** @typedef {import("../../shared/frame.js").Frame<import("./bench.js").State>} Frame */
/** @typedef {import("./training.js").Settings["flow"]} Flow */
/** @typedef {Frame & {bench: import("./bench.js").Bench}} View */

/** So many runs a sweep makes along each of ρ and η. */
const SWEEP = 7;

/** The checkpoints, where playing stops. */
const KEYS = Array.from({ length: CHECKPOINTS + 1 }, (_, n) => n);

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderLimitingFlow(context) {
  /** @type {Frame} */
  const frame = createFrame(context, { redrawOnly: ["frame"], panelsMatter: true });
  const bench = createBench(frame.state, frame.redraw);
  const plots = createFlowPlots(Object.assign(frame, { bench }));
  const play = player({ linear: true, onFrame: (n, settled) => frame.update({ frame: n }, settled) });
  const controls = createControls(frame);
  const flows = flowChoice(frame);
  const sweep = button({
    label: "Train with several ρ and several η", text: "Sweep", className: "samlib-small",
    onPress: () => bench.sweep(settingsOfSweep(frame)),
  }); // prettier-ignore
  sweep.dataset.control = "sweep";
  plots.sweepable.append(sweep);
  return frame.mount({
    className: "samlib-flow",
    choices: flows.el,
    hint: "Change ρ: the network trains again. Does SAM stay on its line?",
    legend: legend(),
    stage: [plots.picture],
    player: play,
    main: controls.main,
    panels: plots.panels,
    controls: controls.el,
    handles: [],
    compute: bench.compute,
    draw() {
      controls.show();
      flows.show();
      sweep.disabled = bench.waiting > 0;
      frame.root.setAttribute("aria-busy", String(bench.busy));
      frame.root.dataset.method = methodOf(frame.state.batch_size);
      play.show(frame.state.frame, KEYS, whenOf(bench));
      plots.draw();
    },
    describe: () => describe(bench),
    table: () => tableOf(bench),
    python: () => pythonOf(bench),
    ...linksWithOneName(linksOf(frame, { labels: { rho: "ρ", lr: "η", batch_size: "m", time: "τ", frame: "frame" } })),
    dispose() {
      bench.dispose();
      plots.dispose();
    },
  });
}

/**
 * Older links have `panel=` with the name of one panel.
 *
 * @param {ReturnType<typeof linksOf<import("./bench.js").State>>} links
 */
const linksWithOneName = ({ writeLink, readLink }) => ({
  writeLink,
  /** @param {Map<string, string>} entries @param {string[]} messages */
  readLink(entries, messages) {
    const panel = entries.get("panel");
    if (panel !== undefined && !entries.has("panels")) entries.set("panels", panel);
    return readLink(entries, messages);
  },
});

/** Which flow of λ₁ the full batch is compared with. @param {Frame} frame */
function flowChoice(frame) {
  /** @type {[string, string][]} */
  const options = [["limit", "η → 0"], ["rate", "at this η"], ["both", "both errors"]]; // prettier-ignore
  const kinds = choice({
    legend: "Flow of λ₁", options, onInput: (flow) => frame.update({ flow: /** @type {Flow} */ (flow) }),
  }); // prettier-ignore
  return {
    el: html("div", { class: "samlib-field" }, html("span", { "aria-hidden": "true" }, "Flow:"), kinds.el),
    show() {
      const { batch_size, flow } = frame.state;
      kinds.el.disabled = batch_size !== constants.limiting_flow.points; // the others have no flow of their own
      kinds.show(flow);
    },
  };
}

/** Sliders, and the seeds of the network and of the mini-batches. @param {Frame} frame */
function createControls(frame) {
  const controls = traitControls(frame, {
    rho: { label: "Radius ρ" },
    lr: { label: "Learning rate η" },
    batch_size: { label: "Batch size m", integer: true, scale: "linear" },
    time: { label: "Time τ" },
  }, undefined, "rho"); // prettier-ignore
  const network = seedField(
    frame, "network", "Network", "Seed of the network and its data", "New network", "Another network and other data",
  ); // prettier-ignore
  const drawn = seedField(frame, "seed", "Draw", "Seed of the mini-batches", "New draw", "Other mini-batches");
  const tie = button({
    label: "A network whose λ₁ meets λ₂, with the flow that goes on", text: "A tie",
    onPress: () => {
      const { panels, ...others } = frame.config.presets.tie;
      frame.update({ ...others, panels: [...new Set([...frame.state.panels, ...panels])] }); // what is open stays so
    },
  }); // prettier-ignore
  tie.dataset.control = "tie";
  const seeds = [network, drawn];
  controls.el.append(html("div", { class: "samlib-fields" }, network.el, network.next, tie, drawn.el, drawn.next));
  return {
    el: controls.el,
    main: controls.main,
    show() {
      controls.show();
      for (const seed of seeds) seed.show();
      drawn.disable(frame.state.batch_size === constants.limiting_flow.points); // it leaves nothing to chance
    },
  };
}

/**
 * A field for a seed, with a button for the next one.
 *
 * @param {Frame} frame @param {"network" | "seed"} trait
 * @param {string} text @param {string} label @param {string} next @param {string} title
 */
function seedField(frame, trait, text, label, next, title) {
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

/**
 * Several ρ at the η shown and several η at the ρ shown, over what the sliders cover; the quick runs first.
 *
 * @param {Frame} frame
 * @returns {import("./training.js").Settings[]}
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

/** What the run's line is; the flows have their names in the picture. */
function legend() {
  return createLegend([
    method("sam", "SAM"),
    method("mini_batch", "SAM on batches"),
    method("one_sam", "1-SAM"),
  ]);
}
