// The module that a notebook loads (anywidget calls `render`).

import { renderAlignment } from "./figures/alignment/figure.js";
import { renderExplicitBias } from "./figures/explicit_bias/figure.js";
import { renderExplore } from "./figures/explore/figure.js";
import { renderLimitingFlow } from "./figures/limiting_flow/figure.js";
import { renderOneLossThreeDestinations } from "./figures/one_loss/figure.js";
import { renderOppositeDrifts } from "./figures/opposite_drifts/figure.js";
import { renderSpectrumInTraining } from "./figures/spectrum_in_training/figure.js";
import { renderThreeNotions } from "./figures/three_notions/figure.js";

// For the tests of their numbers.
export * as destinations from "./figures/one_loss/destinations.js";
export * as engine from "./dynamics/engine.js";
export * as flow from "./dynamics/flow.js";
export * as laboratory from "./figures/limiting_flow/laboratory.js";
export * as network from "./dynamics/network.js";
export { notions } from "./figures/three_notions/notions.js";
export * as training from "./figures/limiting_flow/training.js";
export { edgeOfStability, readSweep } from "./figures/spectrum_in_training/sweep.js";

/** @typedef {import("./shared/model.js").Model} Model */

/** Every figure by the name that its Python class has. */
const FIGURES = {
  Alignment: renderAlignment,
  ExplicitBias: renderExplicitBias,
  Explore: renderExplore,
  LimitingFlow: renderLimitingFlow,
  OneLossThreeDestinations: renderOneLossThreeDestinations,
  OppositeDrifts: renderOppositeDrifts,
  SpectrumInTraining: renderSpectrumInTraining,
  ThreeNotions: renderThreeNotions,
};

/**
 * @param {{model: Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function render({ model, el, linkId }) {
  el.classList.add("samlib-live");
  const figure = FIGURES[/** @type {keyof typeof FIGURES} */ (model.get("_figure"))];
  return figure({ model, el, linkId });
}

export default { render };
