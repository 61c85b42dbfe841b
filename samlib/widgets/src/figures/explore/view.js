// The frame of the figure "Explore" with what was measured.

import { createFrame } from "../../shared/frame.js";
import { createKernel } from "./kernel.js";

/** @typedef {{rho: number}} State */

/**
 * @typedef {object} Sharpness what is not a finite number is null
 * @property {number | null} value
 * @property {number | null} error
 * @property {number | null} predicted by the quadratic model
 */

/**
 * @typedef {object} Radius what is measured at a ρ, as far as it is
 * @property {number} rho
 * @property {number | null} length of the worst v in the unit ball
 * @property {Sharpness} [worst]
 * @property {Sharpness} [ascent]
 * @property {Sharpness} [average]
 * @property {Partial<Record<"worst" | "ascent" | "random", (number | null)[]>>} profiles from −2ρ to 2ρ
 */

/**
 * @typedef {object} Point what does not depend on ρ
 * @property {number} loss
 * @property {number} gradient its norm
 * @property {(number | null)[]} eigenvalues
 * @property {(number | null)[]} residuals
 * @property {boolean} converged
 * @property {(number | null)[]} cosines
 * @property {number | null} cosine_error
 * @property {number | null} trace
 * @property {number | null} trace_error
 * @property {number[]} radii where the quadratic model is given
 * @property {(number | null)[]} worst
 * @property {(number | null)[]} ascent
 * @property {(number | null)[]} average
 */

/** @typedef {ReturnType<typeof createView>} View */

/** How many measured ρ a key moves on. @type {Record<string, number>} */
const MOVES = {
  ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -3, PageUp: 3, Home: -Infinity, End: Infinity,
}; // prettier-ignore

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 */
export function createView(context) {
  const { model } = context;
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context);
  const kernel = createKernel(model, frame.redraw);
  const view = Object.assign(frame, {
    kernel,
    /** @type {{name: string, parameters: number}} */
    network: model.get("_network"),
    /** @type {Point | null} */
    point: null,
    /** @type {Radius[]} in the order of ρ */
    measured: [],
    /** @type {Radius | null} the one being measured */
    current: null,
    progress: { running: false, text: "", part: 0 },
    message: "",
    /** @type {Radius | null} the one in the picture */
    shown: null,
    /** Is it that of another ρ than the one picked? */
    faint: false,
    compute() {
      const point = model.get("_point") ?? {};
      const current = model.get("_current") ?? {};
      view.network = model.get("_network");
      view.point = "loss" in point ? point : null;
      view.measured = model.get("_measured") ?? [];
      view.current = "rho" in current ? current : null;
      view.progress = model.get("_progress") ?? view.progress;
      view.message = model.get("_message") ?? "";
      const { rho } = view.state;
      const here = [...view.measured, ...(view.current ? [view.current] : [])].find((r) => same(r.rho, rho));
      const last = view.shown && view.measured.find((r) => r.rho === view.shown?.rho);
      view.shown = here ?? ((kernel.state() !== "none" && last) || nearest(view.measured, rho));
      view.faint = !here;
    },
    /** Choose a ρ; without a kernel, one of those that were measured. @param {number} rho */
    pick(rho) {
      if (kernel.state() === "there") {
        view.update({ rho: Number(rho.toPrecision(3)) });
        kernel.ask("hello");
        return;
      }
      const found = nearest(view.measured, rho);
      if (found) view.update({ rho: found.rho });
    },
    /** Without a kernel keys go from one measured ρ to another. @param {string} key */
    step(key) {
      const by = MOVES[key];
      if (!by || kernel.state() === "there") return false;
      const at = view.measured.findIndex(({ rho }) => rho === nearest(view.measured, view.state.rho)?.rho);
      const next = view.measured[Math.min(Math.max(at + by, 0), view.measured.length - 1)];
      if (next) view.update({ rho: next.rho });
      return true;
    },
  });
  return view;
}

/** @param {number} a @param {number} b */
const same = (a, b) => Math.abs(a - b) <= 1e-9 * b;

/** @param {Radius[]} measured @param {number} rho @returns {Radius | null} */
function nearest(measured, rho) {
  const far = (/** @type {Radius} */ radius) => Math.abs(Math.log(radius.rho / rho));
  return measured.reduce((best, next) => (best && far(best) <= far(next) ? best : next), /** @type {Radius | null} */ (null));
}
