// The figure "ThreeNotions": the largest, the uphill and the average rise of L on a circle around a point.

import { curvedValley, doubleWell, quadratic } from "../../dynamics/landscapes.js";
import { choice } from "../../shared/buttons.js";
import { svg } from "../../shared/dom.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { traitControls } from "../../shared/trait-controls.js";
import { createBars } from "./bars.js";
import { describe } from "./describe.js";
import { notions } from "./notions.js";
import { createPlane } from "./plane.js";
import { createProfile } from "./profile.js";
import { pythonOf } from "./python.js";
import { tableOf } from "./table.js";

/** @typedef {"bowl" | "ravine" | "curved valley" | "saddle"} Loss */

/**
 * @typedef {object} State the synchronized traits
 * @property {Loss} loss
 * @property {number[]} point
 * @property {number} rho
 */

/** @typedef {import("../../shared/frame.js").Frame<State> & {world: ReturnType<typeof createWorld>}} View */

const LOSSES = /** @type {const} */ ([
  ["bowl", "Bowl"],
  ["ravine", "Ravine"],
  ["curved valley", "Curved valley"],
  ["saddle", "Saddle"],
]);

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderThreeNotions(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context, { presetBy: "loss" });
  const { state } = frame;
  const world = createWorld(state, frame.config.spectra);
  const view = Object.assign(frame, { world });

  const plane = createPlane(view);
  const profile = createProfile(view);
  const bars = createBars(view);
  const losses = choice({
    legend: "Loss",
    options: LOSSES,
    onInput: (name) => frame.restore(frame.preset(name)),
  });
  const controls = traitControls(
    frame,
    { rho: { label: "Radius ρ" } },
    { trait: "point", title: "Point x", labels: ["x₁", "x₂"] },
    "rho",
  );
  return frame.mount({
    className: "samlib-three-notions",
    choices: losses.el,
    hint: "Drag the point. What is the most that L can rise within its circle, and who finds it?",
    legend: legend(),
    stage: [plane.plot.el],
    main: controls.main,
    panels: [
      { name: "profile", title: "Around the circle", parts: [profile.plot.el] },
      { name: "bars", title: "Rises", parts: [bars.plot.el] },
    ],
    controls: controls.el,
    handles: [plane.handle],
    compute: world.compute,
    draw() {
      losses.show(state.loss);
      controls.show();
      plane.draw();
      profile.draw();
      bars.draw();
    },
    describe: () => describe(view),
    table: () => tableOf(view),
    python: () => pythonOf(view),
    ...linksOf(frame, { labels: { rho: "ρ", point: "x" }, presetBy: "loss" }),
    dispose() {
      for (const { plot } of [plane, profile, bars]) plot.dispose();
    },
  });
}

/**
 * The loss, and what is known of it at the point.
 *
 * @param {State} state @param {{bowl: number[], ravine: number[]}} spectra
 */
function createWorld(state, spectra) {
  const landscapes = {
    bowl: quadratic(spectra.bowl),
    ravine: quadratic(spectra.ravine),
    "curved valley": curvedValley(),
    saddle: doubleWell(),
  };
  const world = {
    landscape: landscapes.bowl,
    at: notions(landscapes.bowl, state.point, state.rho),
    compute() {
      world.landscape = landscapes[state.loss];
      world.at = notions(world.landscape, state.point, state.rho);
    },
  };
  return world;
}

/** What the lines and marks are. */
function legend() {
  return createLegend([
    ["worst-direction", [line(), svg("circle", { cx: 16, cy: 7, r: 5 })], "worst direction, Rᴹᵃˣ"],
    ["ascent-direction", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "gradient’s, Rᴬˢᶜ"],
    ["average-direction", [line()], "average, Rᴬᵛᵍ"],
  ]);
}
