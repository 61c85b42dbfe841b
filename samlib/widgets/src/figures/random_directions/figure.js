// The figure "RandomDirections": in many dimensions random directions do not find the worst one.

import { button } from "../../shared/buttons.js";
import { html } from "../../shared/dom.js";
import { nextSeed } from "../../shared/fields.js";
import { createFrame } from "../../shared/frame.js";
import { linksOf } from "../../shared/permalink.js";
import { traitControls } from "../../shared/trait-controls.js";
import { describe } from "./describe.js";
import { averageShare, createDirections } from "./directions.js";
import { pythonOf } from "./python.js";
import { createSwarm } from "./swarm.js";
import { tableOf } from "./table.js";

/** @typedef {{dimension: number, seed: number}} State */
/** @typedef {import("../../shared/frame.js").Frame<State> & {world: ReturnType<typeof createWorld>}} View */

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderRandomDirections(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context);
  const world = createWorld(frame.state);
  const view = Object.assign(frame, { world });
  const swarm = createSwarm(view);
  const controls = traitControls(frame, { dimension: { label: "Dimensions D", integer: true } }, undefined, "dimension");
  const again = button({
    label: "Other random directions", text: "New draws",
    onPress: () => frame.update({ seed: nextSeed(frame.state.seed, frame.config.limits.seed) }),
  }); // prettier-ignore
  again.dataset.control = "seed";
  return frame.mount({
    className: "samlib-random-directions",
    choices: null,
    hint: "Each dot is a direction drawn at random. Give the bowl more dimensions: who finds the worst one?",
    legend: html("span", { hidden: "" }),
    stage: [swarm.plot.el],
    main: controls.main,
    panels: [],
    controls: html("div", { class: "samlib-controls" }, again),
    handles: [],
    compute: world.compute,
    draw() {
      controls.show();
      swarm.draw();
    },
    describe: () => describe(view),
    table: () => tableOf(world),
    python: () => pythonOf(frame.state),
    ...linksOf(frame, { labels: { dimension: "D" } }),
    dispose: () => swarm.plot.dispose(),
  });
}

/** The shares of all directions. @param {State} state */
function createWorld(state) {
  let drawn = { seed: state.seed, directions: createDirections(state.seed) };
  const world = {
    shares: /** @type {Float64Array} */ (new Float64Array()),
    average: 1,
    best: 1,
    compute() {
      if (drawn.seed !== state.seed) drawn = { seed: state.seed, directions: createDirections(state.seed) };
      world.shares = drawn.directions.shares(state.dimension);
      world.average = averageShare(state.dimension);
      world.best = world.shares.reduce((a, b) => Math.max(a, b));
    },
  };
  return world;
}
