// The module that a notebook loads (anywidget calls `render`).

import { renderAlignment } from "./figures/alignment/figure.js";
import { renderExplicitBias } from "./figures/explicit_bias/figure.js";
import { renderExplore } from "./figures/explore/figure.js";
import { renderLimitingFlow } from "./figures/limiting_flow/figure.js";
import { renderOneLossThreeDestinations } from "./figures/one_loss/figure.js";
import { renderOppositeDrifts } from "./figures/opposite_drifts/figure.js";
import { renderRescaling } from "./figures/rescaling/figure.js";
import { renderSpectrumInTraining } from "./figures/spectrum_in_training/figure.js";
import { renderThermostat } from "./figures/thermostat/figure.js";
import { renderThreeNotions } from "./figures/three_notions/figure.js";

/** @typedef {import("./shared/model.js").Model} Model */

/** Every figure by the name that its Python class has. */
const FIGURES = {
  Alignment: renderAlignment,
  ExplicitBias: renderExplicitBias,
  Explore: renderExplore,
  LimitingFlow: renderLimitingFlow,
  OneLossThreeDestinations: renderOneLossThreeDestinations,
  OppositeDrifts: renderOppositeDrifts,
  Rescaling: renderRescaling,
  SpectrumInTraining: renderSpectrumInTraining,
  Thermostat: renderThermostat,
  ThreeNotions: renderThreeNotions,
};

/**
 * @param {{model: Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function render({ model, el, linkId, alias }) {
  el.classList.add("samlib-live");
  const figure = FIGURES[/** @type {keyof typeof FIGURES} */ (model.get("_figure"))];
  return figure({ model, el, linkId, alias });
}

export default { render };
