// The figure "Thermostat": why ‖∇L‖ finds its place under SAM, and which part of the gradient stays.

import { html, svg } from "../../shared/dom.js";
import { slider } from "../../shared/fields.js";
import { count } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { player } from "../../shared/player.js";
import { createCurve } from "./curve.js";
import { describe } from "./describe.js";
import { pythonOf } from "./python.js";
import { createRun } from "./run.js";
import { tableOf } from "./table.js";
import { createWorld } from "./world.js";

/** @typedef {import("./world.js").State} State */
/** @typedef {import("../../shared/frame.js").Frame<State> & {world: import("./world.js").World}} View */

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderThermostat(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context, { redrawOnly: ["frame"] });
  const { state } = frame;
  const world = createWorld(state);
  const view = Object.assign(frame, { world });
  const curve = createCurve(view);
  const run = createRun(view);
  const play = player({ linear: true, onFrame: (step, settled) => frame.update({ frame: step }, settled) });
  const controls = createControls(view);
  return frame.mount({
    className: "samlib-thermostat",
    choices: null,
    hint: "Press play. Then drag the points along λ, or bend the curve: ‖∇L‖ is the thermostat.",
    legend: legend(),
    stage: [curve.plot.el, run.plot.el],
    player: play,
    main: controls.el,
    panels: [],
    controls: null,
    handles: curve.handles,
    compute: world.compute,
    draw() {
      controls.show();
      play.show(state.frame, world.keys, `step ${count(state.frame)} of ${count(state.steps)}`);
      curve.draw();
      run.draw();
    },
    describe: () => describe(world),
    table: () => tableOf(world),
    python: () => pythonOf(world),
    ...linksOf(frame, { labels: { norm: "‖∇L‖", rho: "ρ", lr: "η", frame: "step", eigenvalues: "λ" } }),
    dispose() {
      for (const { plot } of [curve, run]) plot.dispose();
    },
  });
}

/** The one slider: it shows ‖∇L‖ at the step shown, and moving it begins anew with that length. @param {View} view */
function createControls({ config, state, world, update }) {
  const [low, high] = config.limits.norm;
  const length = slider({
    label: "Length ‖∇L‖", name: "norm", range: config.sliders.norm, limits: [low, high],
    onInput: (norm) => update({ norm, frame: 0 }),
  }); // prettier-ignore
  return {
    el: length.el,
    show() {
      const now = state.frame === 0 ? state.norm : world.norm();
      length.show(Math.min(Math.max(Number.isNaN(now) ? high : now, low), high));
    },
  };
}

/** What the lines and marks are. */
function legend() {
  return createLegend([
    ["sam", [line()], "SAM: m(λ), and the length of ∇L"],
    ["eigenvector", [line()], "part along v₁"],
    ["thermostat-other", [line()], "parts along the others"],
    ["predicted", [svg("path", { d: "M16 1l6 6l-6 6l-6-6z" })], "balance: m(λ₁) = −1"],
    ["gradient_descent", [line()], "gradient descent: 1 − ηλ"],
  ]);
}
