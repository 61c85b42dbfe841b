// The module that a notebook loads (anywidget calls `render`).

import "./kit.js";
import { renderAlignment } from "./figures/alignment/figure.js";
import { renderExplicitBias } from "./figures/explicit_bias/figure.js";
import { renderExplore } from "./figures/explore/figure.js";
import { renderOneLossThreeDestinations } from "./figures/one_loss/figure.js";
import { renderOppositeDrifts } from "./figures/opposite_drifts/figure.js";
import { renderRandomDirections } from "./figures/random_directions/figure.js";
import { renderSpectrumInTraining } from "./figures/spectrum_in_training/figure.js";
import { renderThreeNotions } from "./figures/three_notions/figure.js";
import { partOf } from "./shared/parts.js";

/** @typedef {import("./shared/model.js").Model} Model */
/** @typedef {{model: Model, el: HTMLElement, linkId?: string, alias?: string}} Context */

/** Every figure by the name that its Python class has. */
const FIGURES = {
  Alignment: renderAlignment,
  ExplicitBias: renderExplicitBias,
  Explore: renderExplore,
  OneLossThreeDestinations: renderOneLossThreeDestinations,
  OppositeDrifts: renderOppositeDrifts,
  RandomDirections: renderRandomDirections,
  SpectrumInTraining: renderSpectrumInTraining,
  ThreeNotions: renderThreeNotions,
};

/** Figures that are scripts of their own (shared/parts.js), by the names of these. @type {Record<string, string>} */
export const HEAVY = {
  BasinMap: "basin-map", LimitingFlow: "limiting-flow", Rescaling: "rescaling", Thermostat: "thermostat",
  TrainYourself: "train-yourself",
}; // prettier-ignore

/**
 * @param {Context} context
 * @returns {() => void} takes the figure down
 */
export function render(context) {
  const { model, el } = context;
  const name = model.get("_figure");
  if (name in HEAVY) return renderLater(HEAVY[name], context);
  el.classList.add("samlib-live");
  return FIGURES[/** @type {keyof typeof FIGURES} */ (name)](context);
}

/**
 * Render a figure when its script is there. Until then, and if it does not come, the still stays where it is.
 *
 * @param {string} part @param {Context} context
 */
function renderLater(part, context) {
  let open = true;
  let takeDown = () => {};
  const begin = (/** @type {{render: (context: Context) => () => void}} */ { render: now }) => {
    if (!open) return;
    context.el.classList.add("samlib-live");
    takeDown = now(context);
  };
  partOf(context.model, part).then(begin, (error) => console.error(error.message));
  return () => {
    open = false;
    takeDown();
  };
}

export default { render };
