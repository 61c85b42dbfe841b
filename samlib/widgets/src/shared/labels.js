// Text over a plot.

import { svg } from "./dom.js";
import { inSvg, plain } from "./subscripts.js";

/** @typedef {import("./plot.js").Plot} Plot */

/**
 * Text over a plot.
 *
 * @param {Plot} plot @param {string[]} names
 */
export function createLabels(plot, names) {
  const texts = new Map(
    names.map((name) => [name, svg("text", { class: "samlib-mark", "aria-hidden": "true" })]),
  );
  plot.marks.append(...texts.values());
  return {
    /** @param {string} name @param {boolean} hidden */
    hide: (name, hidden) => texts.get(name)?.toggleAttribute("hidden", hidden),
    /**
     * @param {string} name @param {number} x @param {number} y @param {string} text
     * @param {"start" | "middle" | "end"} anchor
     */
    put(name, x, y, text, anchor) {
      const label = /** @type {SVGTextElement} */ (texts.get(name));
      label.setAttribute("transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
      label.setAttribute("text-anchor", anchor);
      if (label.textContent !== plain(text)) label.replaceChildren(...inSvg(text));
    },
  };
}
