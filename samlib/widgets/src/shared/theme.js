// Colours come from the style sheet, which knows light and dark; canvases ask for them here.

import { cssName } from "./dom.js";

/** @typedef {Record<"ink" | "soft" | "faint" | "line" | "ground" | "plot" | "sam" | "gradient_descent" | "ascent" | "eigenvector" | "worst" | "average" | "one_sam", string>} Palette */

const NAMES = /** @type {const} */ ([
  "ink", "soft", "faint", "line", "ground", "plot",
  "sam", "gradient_descent", "one_sam", "ascent", "worst", "average", "eigenvector",
]); // prettier-ignore

/**
 * @param {Element} el
 * @returns {Palette}
 */
export function palette(el) {
  const style = getComputedStyle(el);
  return /** @type {Palette} */ (
    Object.fromEntries(NAMES.map((n) => [n, style.getPropertyValue(`--samlib-${cssName(n)}`).trim()]))
  );
}

/**
 * Call back when the page turns dark or light.
 *
 * @param {() => void} callback
 * @returns {() => void} stops listening
 */
export function onThemeChange(callback) {
  const observer = new MutationObserver(callback);
  const options = { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light"] };
  observer.observe(document.documentElement, options);
  observer.observe(document.body, options);
  return () => observer.disconnect();
}

/** Does the reader want less motion? */
export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
