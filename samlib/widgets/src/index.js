// The module that a notebook loads (anywidget calls `render`).

import { renderAlignment } from "./alignment.js";
import { renderExplicitBias } from "./explicit-bias.js";
import { renderExplore } from "./explore.js";
import { renderLimitingFlow } from "./limiting-flow.js";
import { renderOneLossThreeDestinations } from "./one-loss.js";
import { renderOppositeDrifts } from "./opposite-drifts.js";
import { renderSpectrumInTraining } from "./spectrum-in-training.js";
import { renderThreeNotions } from "./three-notions.js";

// For the tests of their numbers.
export * as destinations from "./destinations.js";
export * as engine from "./engine.js";
export * as flow from "./flow.js";
export * as laboratory from "./laboratory.js";
export * as network from "./network.js";
export { notions } from "./notions.js";
export * as training from "./training.js";
export { edgeOfStability, readSweep } from "./sweep.js";

/** @typedef {import("./model.js").Model} Model */

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
