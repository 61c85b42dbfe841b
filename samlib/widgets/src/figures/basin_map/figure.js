// The figure "BasinMap": every point of the map is a start, its color says where SAM takes it.
//
// The data flows one way: state → maps by the graphics card or a worker (maps.js) and one run (run.js) → pictures.

import { html } from "../../shared/dom.js";
import { createFrame } from "../../shared/frame.js";
import { inksOf } from "./colours.js";
import { createControls } from "./controls.js";
import { describe } from "./describe.js";
import { createKey } from "./key.js";
import { linksOfMap } from "./link.js";
import { createMap } from "./map.js";
import { pythonOf } from "./python.js";
import { tableOf } from "./table.js";
import { createWorld } from "./world.js";
import { createZoom } from "./zoom.js";

/**
 * The synchronized traits.
 *
 * @typedef {object} State
 * @property {string} loss
 * @property {import("./ends.js").Task["method"]} method
 * @property {number} rho
 * @property {number} lr
 * @property {number} steps
 * @property {number[]} start
 * @property {number[]} across
 * @property {number[]} center
 * @property {number} reach
 * @property {string} formula
 */

/** @typedef {import("../../shared/frame.js").Frame<State>} Frame */
/** @typedef {import("./world.js").World} World */
/** @typedef {import("./world.js").Landmark} Landmark */
/** @typedef {World["box"]} Box */
/** @typedef {Frame & {world: World}} View */

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderBasinMap(context) {
  /** @type {Frame} */
  const frame = createFrame(context, { redrawOnly: ["start"], presetBy: "loss" });
  const world = createWorld(frame.state, frame.config, context.model, frame.redraw);
  const view = Object.assign(frame, { world });
  const map = createMap(view);
  const zoom = createZoom(view, map);
  const key = createKey(view);
  const controls = createControls(view);
  map.plot.heading.append(html("span", { class: "samlib-basin-zooms" }, ...zoom.buttons));
  /** @type {unknown} */
  let colours = null;
  return frame.mount({
    className: "samlib-basins",
    choices: null,
    hint: "Each point is a start, its color where the run from there ends. Drag ρ. Press anywhere to see one run.",
    legend: html("span", { hidden: true }),
    stage: [map.plot.el, key.el],
    main: controls.main,
    panels: [],
    controls: controls.el,
    handles: [{ group: map.handle.group, key: zoom.key }],
    compute: world.compute,
    draw() {
      if (colours !== frame.colours) world.inks = inksOf(context.el);
      colours = frame.colours;
      world.follow();
      controls.show();
      frame.root.setAttribute("aria-busy", String(world.busy));
      key.show();
      map.draw();
    },
    describe: () => describe(view),
    table: () => tableOf(world),
    python: () => pythonOf(world),
    ...linksOfMap(frame),
    dispose() {
      world.dispose();
      map.plot.dispose();
    },
  });
}
