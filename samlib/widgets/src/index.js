// The module that a notebook loads (anywidget calls `render`).

import { renderAlignment } from "./alignment.js";
import { renderOppositeDrifts } from "./opposite-drifts.js";

export * as engine from "./engine.js"; // for the tests of its numbers

/** @typedef {import("./model.js").Model} Model */

/** Every figure by the name that its Python class has. */
const FIGURES = { Alignment: renderAlignment, OppositeDrifts: renderOppositeDrifts };

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
