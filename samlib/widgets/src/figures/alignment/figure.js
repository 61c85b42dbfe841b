// The figure "Alignment": under SAM the gradient turns towards the top eigenvector of the Hessian.
//
// The data flows one way: state → runs → samples (world.js) → pictures (bowl.js, map.js, panels.js). A
// change of ρ, η, the spectrum or the start recomputes all of it; a change of the frame only redraws.

import { choice } from "../../shared/buttons.js";
import { svg } from "../../shared/dom.js";
import { count } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line } from "../../shared/legend.js";
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
  const { bowl, map, spectrum, panels, controls, landscapes, play } = parts;
  const { angle, distance, sharpness, shares } = panels.plots;
  const curved = () => !world.flat;
  return frame.mount({
    className: "samlib-alignment",
    choices: landscapes.el,
    hint: "Drag the start, or ρ: where does SAM come to rest?",
    legend: legend(),
    stage: [bowl.plot.el, map.plot.el],
    player: play,
    main: controls.main,
    panels: [
      { name: "spectrum", title: "Curvatures", parts: [spectrum.plot.el], applies: () => world.flat },
      { name: "angle", title: "Angle", parts: [angle.el] },
      { name: "distance", title: "Distance", parts: [distance.el] },
      { name: "shares", title: "Shares", parts: [shares.el], applies: () => world.flat },
      { name: "sharpness", title: "λ₁", parts: [sharpness.el], applies: curved },
    ],
    controls: controls.el,
    handles: [bowl.handle, map.handle, ...spectrum.handles],
    compute: world.compute,
    draw: () => draw(frame, world, parts),
    describe: () => describe(world),
    table: () => tableOf(world),
    python: () => pythonOf(world),
    ...linksOfAlignment(frame),
    dispose() {
      for (const plot of [bowl.plot, map.plot, spectrum.plot, ...Object.values(panels.plots)]) plot.dispose();
    },
  });
}

/** @typedef {ReturnType<typeof createParts>} Parts */

/** Pictures, controls and the player. @param {import("./view.js").View} view */
function createParts(view) {
  return {
    bowl: createBowl(view),
    map: createMap(view),
    spectrum: createSpectrum(view),
    panels: createPanels(view),
    controls: createControls(view),
    landscapes: choice({
      legend: "Loss",
      options: LANDSCAPES,
      onInput: (name) => view.restore({ ...view.preset(name), zoom: false }),
    }),
    play: player({ onFrame: (step, settled) => view.update({ frame: step }, settled) }),
  };
}

/** @param {import("../../shared/frame.js").Frame<State>} frame @param {import("./world.js").World} world @param {Parts} parts */
function draw({ root }, world, { bowl, map, spectrum, panels, controls, landscapes, play }) {
  const { state, sam, descent, dim, keys } = world;
  world.at.look(sam.x, state.frame * dim);
  world.descentAt.look(descent.x, state.frame * dim);
  root.dataset.landscape = state.landscape;
  controls.show();
  landscapes.show(state.landscape);
  play.show(state.frame, keys, `step ${count(state.frame)} of ${count(state.steps)}`);
  bowl.draw();
  map.draw();
  spectrum.draw();
  panels.draw();
}

/** What the lines and marks are that the picture does not name. */
function legend() {
  return createLegend([
    ["sam", [line(), svg("circle", { cx: 16, cy: 7, r: 4.5 })], "SAM"],
    ["gradient_descent", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "gradient descent"],
    ["predicted", [svg("path", { d: "M16 1l6 6l-6 6l-6-6z" })], "prediction"],
    ["worst", [line()], "limiting flow"],
  ]);
}
