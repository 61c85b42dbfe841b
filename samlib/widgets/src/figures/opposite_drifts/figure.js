// The figure "OppositeDrifts": one start in the two valleys, from which full-batch SAM drifts towards smaller
// λ₁, 1-SAM towards a smaller trace, and mini-batches somewhere between.
//
// The data flows one way: state → runs and flows (valleys.js) → pictures (plots.js).

import { button } from "../../shared/buttons.js";
import { labelled, nextSeed, numberField } from "../../shared/fields.js";
import { count } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, method } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { player } from "../../shared/player.js";
import { traitControls } from "../../shared/trait-controls.js";
import { describe } from "./describe.js";
import { createDriftPlots } from "./plots.js";
import { pythonOf } from "./python.js";
import { tableOf } from "./table.js";
import { createValleys } from "./valleys.js";

/** @typedef {import("../../shared/frame.js").Frame<import("./valleys.js").State>} Frame */
/** @typedef {Frame & {valleys: import("./valleys.js").Valleys}} View */

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderOppositeDrifts(context) {
  /** @type {Frame} */
  const frame = createFrame(context, { redrawOnly: ["frame"] });
  const valleys = createValleys(frame.state);
  const plots = createDriftPlots(Object.assign(frame, { valleys }));
  const play = player({ linear: true, onFrame: (step, settled) => frame.update({ frame: step }, settled) });
  const controls = createControls(frame);
  return frame.mount({
    className: "samlib-drifts",
    choices: null,
    hint: "Change the batch size m, or drag the start: whose valley does SAM go to?",
    legend: legend(),
    stage: [plots.picture],
    player: play,
    main: controls.main,
    panels: plots.panels,
    controls: controls.el,
    handles: [plots.handle],
    compute: valleys.compute,
    draw() {
      const { state } = frame;
      controls.show();
      play.show(state.frame, valleys.keys, `step ${count(state.frame)} of ${count(state.steps)}`);
      plots.draw();
    },
    describe: () => describe(valleys),
    table: () => tableOf(valleys),
    python: () => pythonOf(valleys),
    ...linksOf(frame, { labels: { rho: "ρ", lr: "η", batch_size: "m", frame: "step" } }),
    dispose: () => plots.plots.forEach((plot) => plot.dispose()),
  });
}

/** Sliders, fields, and the button for another draw. @param {Frame} frame */
function createControls(frame) {
  const controls = traitControls(
    frame,
    {
      batch_size: { label: "Batch size m", integer: true },
      rho: { label: "Radius ρ" },
      lr: { label: "Learning rate η" },
      steps: { label: "Steps", integer: true },
    },
    { trait: "start", title: "Start", labels: ["x", "y₁", "y₂"] },
    "batch_size",
  );
  const limits = frame.config.limits.seed;
  const seed = labelled("Seed", numberField({
    name: "seed", label: "Seed of the draws", limits, integer: true, onInput: (value) => frame.update({ seed: value }),
  })); // prettier-ignore
  const redraw = button({
    label: "Draw other mini-batches", text: "New draw",
    onPress: () => frame.update({ seed: nextSeed(frame.state.seed, limits) }),
  }); // prettier-ignore
  redraw.dataset.control = "draw";
  controls.el.lastElementChild?.append(seed.el, redraw);
  return {
    el: controls.el,
    main: controls.main,
    show() {
      controls.show();
      seed.show(frame.state.seed);
    },
  };
}

/** What the lines and marks are. */
function legend() {
  return createLegend([
    method("sam", "full-batch SAM"),
    method("mini_batch", "batches of m"),
    method("one_sam", "1-SAM"),
    method("gradient_descent", "gradient descent (GD)"),
  ]);
}
