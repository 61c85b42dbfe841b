// The figure "Rescaling": one network with other weights gives the same answers, at any sharpness.

import { html } from "../../shared/dom.js";
import { createFrame } from "../../shared/frame.js";
import { linksOf } from "../../shared/permalink.js";
import { traitControls } from "../../shared/trait-controls.js";
import { describe } from "./describe.js";
import { createDigits } from "./digits.js";
import { createNumbers } from "./numbers.js";
import { createProfile } from "./profile.js";
import { pythonOf } from "./python.js";
import { tableOf } from "./table.js";
import { createWorld } from "./world.js";

/** @typedef {import("./world.js").State} State */
/** @typedef {import("../../shared/frame.js").Frame<State> & {world: import("./world.js").World}} View */

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderRescaling(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context);
  const world = createWorld(frame.state, frame.config.network);
  const view = Object.assign(frame, { world });
  const profile = createProfile(view);
  const digits = createDigits(view);
  const numbers = createNumbers(world);
  const controls = traitControls(frame, { alpha: { label: "Scale α" } }, undefined, "alpha");
  return frame.mount({
    className: "samlib-rescaling",
    choices: null,
    hint: "Multiply the first layer by α and divide the second by α: which of the numbers can tell?",
    legend: html("span", { hidden: true }),
    stage: [numbers.el, profile.plot.el, digits.el],
    main: controls.main,
    panels: [],
    controls: null,
    handles: [],
    compute: world.compute,
    draw() {
      controls.show();
      numbers.show();
      profile.draw();
      digits.draw();
    },
    describe: () => describe(world),
    table: () => tableOf(world),
    python: () => pythonOf(frame.state),
    ...linksOf(frame, { labels: { alpha: "α" } }),
    dispose: profile.plot.dispose,
  });
}
