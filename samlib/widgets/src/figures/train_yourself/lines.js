// Lines of the two runs: through what is known of them, broken where nothing is.

import { scaleLinear } from "d3-scale";
import { niceCeil } from "../../shared/format.js";
import { methodColour, methodDashes } from "./methods.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("../../shared/plot.js").Plot} Plot */

/** The runs in the order in which they are drawn: the first one lies on top. @type {readonly (0 | 1)[]} */
export const RUNS = [1, 0];

/** The method of a run. @param {import("./figure.js").State} state @param {0 | 1} run */
export const methodOf = (state, run) => (run === 0 ? state.first : state.second);

/**
 * @typedef {object} Style
 * @property {string} colour @property {number[]} [dash] @property {number} [width] @property {number} [alpha]
 */

/**
 * @param {CanvasRenderingContext2D} context @param {Style} style @param {number} count
 * @param {(i: number) => number} px @param {(i: number) => number | undefined} py undefined where nothing was measured,
 *   NaN where there is nothing
 */
export function strokeLine(context, { colour, dash = [], width = 2, alpha = 1 }, count, px, py) {
  Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round", globalAlpha: alpha });
  context.setLineDash(dash);
  context.beginPath();
  let down = false;
  for (let i = 0; i < count; i++) {
    const height = py(i);
    if (height === undefined) continue;
    if (!Number.isFinite(height)) down = false;
    else if (down) context.lineTo(px(i), height);
    else {
      context.moveTo(px(i), height);
      down = true;
    }
  }
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** How a run is drawn. @param {View} view @param {0 | 1} run @returns {Style} */
export function styleOf({ state, colours }, run) {
  const method = methodOf(state, run);
  return { colour: methodColour(method, colours), dash: methodDashes(method) };
}

/** A last step for an axis: some room beyond, and no new axis at every step. @param {number} step */
export const lastStep = (step) => Math.max(100, niceCeil(step * 1.02));

/** What a picture leaves at its right end, for the mark at the end of a line. */
export const SLACK = 8;

/** The steps across all pictures. @param {View} view @param {Plot} plot */
export const acrossSteps = (view, { box }) => scaleLinear([0, view.lastStep()], [box.left, box.right - SLACK]);
