// The figure "OneLossThreeDestinations": from one start, SAM goes where λ₁ is least, 1-SAM where the trace
// is, and descent on L^Asc towards the least λ_M.

import { button } from "../../shared/buttons.js";
import { svg } from "../../shared/dom.js";
import { nextSeed, slider } from "../../shared/fields.js";
import { count } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { player } from "../../shared/player.js";
import { traitControls } from "../../shared/trait-controls.js";
import { createBowls } from "./bowls.js";
import { describe } from "./describe.js";
import { createDestinations } from "./destinations.js";
import { createDestinationMap } from "./map.js";
import { createDestinationPanels } from "./panels.js";
import { pythonOf } from "./python.js";
import { tableOf } from "./table.js";

/** @typedef {import("./destinations.js").State} State */
/** @typedef {import("../../shared/frame.js").Frame<State> & {world: import("./destinations.js").Destinations}} View */

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderOneLossThreeDestinations(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context, { redrawOnly: ["frame", "turn"] });
  const { state } = frame;
  const world = createDestinations(state);
  const view = Object.assign(frame, { world });
  const map = createDestinationMap(view);
  const bowls = createBowls(view);
  const panels = createDestinationPanels(view);
  const [top, smallest, trace] = panels.plots;
  const play = player({ onFrame: (step, settled) => frame.update({ frame: step }, settled) });
  const controls = createControls(frame);
  return frame.mount({
    className: "samlib-one-loss",
    choices: null,
    hint: "Press play. Then drag the start, or change η: which of the three runs minds?",
    legend: legend(),
    stage: [map.plot.el],
    player: play,
    main: controls.main,
    panels: [
      { name: "bowls", title: "Bowls", parts: [bowls.plot.el] },
      { name: "top", title: "λ₁", parts: [top.el] },
      { name: "smallest", title: "λ_M", parts: [smallest.el] },
      { name: "trace", title: "Trace", parts: [trace.el] },
    ],
    controls: controls.el,
    handles: [map.handle],
    compute: world.compute,
    draw() {
      controls.show();
      play.show(state.frame, world.keys, `step ${count(state.frame)} of ${count(state.steps)}`);
      map.draw();
      bowls.draw();
      panels.draw();
    },
    describe: () => describe(view),
    table: () => tableOf(world),
    python: () => pythonOf(world),
    ...linksOf(frame, { labels: { rho: "ρ", lr: "η", frame: "step" } }),
    dispose() {
      for (const plot of [map.plot, bowls.plot, ...panels.plots]) plot.dispose();
    },
  });
}

/** Sliders, fields, and the button for other draws. @param {import("../../shared/frame.js").Frame<State>} frame */
function createControls(frame) {
  const { state, config, update } = frame;
  const controls = traitControls(
    frame,
    { rho: { label: "Radius ρ" }, lr: { label: "Learning rate η" }, steps: { label: "Steps", integer: true } },
    { trait: "start", title: "Start", labels: ["x₁", "x₂", "x₃", "x₄"] },
    "lr",
  );
  const turn = slider({
    label: "Turn the bowls", name: "turn", integer: true, scale: "linear",
    range: config.sliders.turn, limits: config.limits.turn, onInput: (value) => update({ turn: value }),
  }); // prettier-ignore
  const draw = button({
    label: "Other random draws for 1-SAM",
    text: "New draws",
    onPress: () => update({ seed: nextSeed(state.seed, config.limits.seed) }),
  });
  draw.dataset.control = "seed";
  controls.el.insertBefore(turn.el, controls.el.lastElementChild);
  controls.el.lastElementChild?.append(draw);
  return {
    el: controls.el,
    main: controls.main,
    show() {
      controls.show();
      turn.show(state.turn);
    },
  };
}

/** What the lines and marks are. */
function legend() {
  return createLegend([
    ["sam", [line(), svg("circle", { cx: 16, cy: 7, r: 4.5, class: "samlib-key-mark" })], "SAM"],
    ["one_sam", [line(), svg("path", { d: "M16 1l6 11h-12z", class: "samlib-key-mark" })], "1-SAM"],
    ["ascent_loss_descent", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "descent on Lᴬˢᶜ"],
    ["flow", [line()], "limiting flows"],
    ["destination", [svg("path", { d: "M16 1l6 6l-6 6l-6-6z" })], "destinations"],
  ]);
}
