// The figure "Alignment": under SAM the gradient turns towards the top eigenvector of the Hessian.
//
// The data flows one way: state → runs → samples (world.js) → pictures (bowl.js, map.js, panels.js). A
// change of ρ, η, the spectrum or the start recomputes all of it; a change of the frame only redraws.

import { choice } from "../../shared/buttons.js";
import { html, svg } from "../../shared/dom.js";
import { count } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line, pointed, sample } from "../../shared/legend.js";
import { player } from "../../shared/player.js";
import { createBowl } from "./bowl.js";
import { createControls } from "./controls.js";
import { describe } from "./describe.js";
import { linksOfAlignment } from "./link.js";
import { createMap } from "./map.js";
import { createPanels } from "./panels.js";
import { pythonOf } from "./python.js";
import { createSpectrum } from "./spectrum.js";
import { tableOf } from "./table.js";
import { createWorld } from "./world.js";

/** @typedef {import("./world.js").State} State */

const LANDSCAPES = /** @type {const} */ ([
  ["quadratic", "Quadratic"],
  ["four-dimensional", "Four-dimensional loss"],
]);

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderAlignment(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context, {
    redrawOnly: ["frame", "zoom", "invariant"],
    presetBy: "landscape",
    complete: (state) => state.start.length === (state.landscape === "quadratic" ? state.eigenvalues.length : 4),
  });
  const world = createWorld(frame.state);
  const parts = createParts(Object.assign(frame, { world }));
  const { bowl, map, spectrum, panels, controls, invariant, landscapes, play } = parts;
  return frame.mount({
    className: "samlib-alignment",
    choices: landscapes.el,
    hint: "Drag the start, move a slider, press play, or drag across a panel to go through time.",
    legend: legend(invariant),
    stage: [bowl, map].map(({ plot }) => plot.el).concat(
      panels.plots.map(({ el }) => el), spectrum.plot.el, panels.shares.el,
    ), // prettier-ignore
    player: play,
    controls: controls.el,
    handles: [bowl.handle, map.handle, ...spectrum.handles],
    compute: world.compute,
    draw: () => draw(frame, world, parts),
    describe: () => describe(world),
    table: () => tableOf(world),
    python: () => pythonOf(world),
    ...linksOfAlignment(frame),
    dispose() {
      for (const plot of [bowl.plot, map.plot, spectrum.plot, ...panels.plots, panels.shares]) plot.dispose();
    },
  });
}

/** @typedef {ReturnType<typeof createParts>} Parts */

/** Pictures, controls and the player. @param {import("./view.js").View} view */
function createParts(view) {
  const invariant = html("input", {
    type: "checkbox", "data-control": "invariant",
    onchange: () => view.update({ invariant: invariant.checked }),
  }); // prettier-ignore
  return {
    bowl: createBowl(view),
    map: createMap(view),
    spectrum: createSpectrum(view),
    panels: createPanels(view),
    controls: createControls(view),
    invariant,
    landscapes: choice({
      legend: "Loss",
      options: LANDSCAPES,
      onInput: (name) => view.restore({ ...view.preset(name), zoom: false }),
    }),
    play: player({ onFrame: (step, settled) => view.update({ frame: step }, settled) }),
  };
}

/** @param {import("../../shared/frame.js").Frame<State>} frame @param {import("./world.js").World} world @param {Parts} parts */
function draw({ root }, world, { bowl, map, spectrum, panels, controls, invariant, landscapes, play }) {
  const { state, sam, descent, dim, keys } = world;
  world.at.look(sam.x, state.frame * dim);
  world.descentAt.look(descent.x, state.frame * dim);
  root.dataset.landscape = state.landscape;
  controls.show();
  invariant.checked = state.invariant;
  landscapes.show(state.landscape);
  play.show(state.frame, keys, `step ${count(state.frame)} of ${count(state.steps)}`);
  bowl.draw();
  map.draw();
  spectrum.draw();
  panels.draw();
}

/** What the lines and marks are. @param {HTMLElement} invariant the switch of the invariant set */
function legend(invariant) {
  const ellipse = svg("path", { d: "M1 7a15 6 0 0 1 30 0a15 6 0 0 1-30 0" });
  return createLegend(
    [
      ["sam", [line(), svg("circle", { cx: 16, cy: 7, r: 4.5 })], "SAM"],
      ["gradient_descent", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "gradient descent"],
      ["ascent", [pointed()], "gradient ∇L"],
      ["eigenvector", [pointed()], "top eigenvector v₁"],
      ["predicted", [svg("path", { d: "M16 1l6 6l-6 6l-6-6z" })], "predicted: ±ηρλ₁/(2 − ηλ₁) v₁"],
      ["worst", [line()], "limiting flow"],
    ],
    html("li", { class: "samlib-entry-invariant" },
      html("label", {}, invariant, sample("invariant", ellipse), "show the invariant set")),
  ); // prettier-ignore
}
