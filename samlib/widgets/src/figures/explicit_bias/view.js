// The frame of the figure "ExplicitBias" with what follows from its state.

import { PREFERRED, approachFrom, limitingRegularizers } from "../../dynamics/limiting-regularizers.js";
import { createFrame } from "../../shared/frame.js";
import { arrivalsFrom } from "./arrivals.js";
import { NOTIONS } from "./quantities.js";

/** @typedef {import("./quantities.js").Notion} Notion */

/**
 * @typedef {object} State the synchronized traits
 * @property {import("./quantities.js").Quantity} quantity
 * @property {number[]} point (x₁, x₂)
 * @property {number} approach in degrees
 * @property {number} frame the step shown of the runs from x′
 * @property {string[]} panels
 */

/** @typedef {ReturnType<typeof createView>} View */

/** @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context */
export function createView(context) {
  /** @type {import("../../shared/frame.js").Options<State>} */
  const options = { redrawOnly: ["quantity", "frame"] };
  const least = /** @type {Record<Notion, number>} */ (
    Object.fromEntries(NOTIONS.map((n) => [n, limitingRegularizers(...PREFERRED[n])[n]]))
  );
  const view = Object.assign(createFrame(context, options), {
    /** Of each limiting regularizer, on Γ. */
    least,
    /** The limiting regularizers at x. */
    here: { ...least },
    /** The gradient's direction at x′, and the number of the band that it picks. */
    from: approachFrom(0, 0, 0),
    /** The runs from x′ to Γ. */
    arrivals: arrivalsFrom([0, 0], 0),
    compute() {
      const [x1, x2] = view.state.point;
      view.here = limitingRegularizers(x1, x2);
      view.from = approachFrom(x1, x2, view.state.approach);
      view.arrivals = arrivalsFrom(view.state.point, view.state.approach);
    },
  });
  return view;
}
