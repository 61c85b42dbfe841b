// Buttons, and rows of them of which one is on.

import { freshId, html, svg } from "./dom.js";
import { inHtml } from "./subscripts.js";

/**
 * A row of radio buttons, of which one is on.
 *
 * @param {{legend: string, options: readonly (readonly [string, string])[],
 *   onInput: (value: string) => void}} options value and label of each
 */
export function choice({ legend, options, onInput }) {
  const group = freshId("samlib");
  const inputs = options.map(([value]) =>
    html("input", { type: "radio", name: group, value, onchange: () => onInput(value) }),
  );
  const el = html(
    "fieldset", { class: "samlib-choice" }, html("legend", { class: "samlib-hidden" }, legend),
    ...options.map(([, label], i) => html("label", {}, inputs[i], html("span", {}, ...inHtml(label)))),
  ); // prettier-ignore
  return {
    el,
    /** @param {string} value */
    show(value) {
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}

/**
 * @param {{label: string, icon?: string, text?: string, onPress: () => void, className?: string}} options
 *   `icon` is the path of a 24 × 24 drawing
 */
export function button({ label, icon, text, onPress, className = "" }) {
  const el = html("button", {
    type: "button", class: `samlib-button ${className}`, onclick: onPress,
    "aria-label": text ? undefined : label, title: label,
  }); // prettier-ignore
  if (icon) {
    el.append(svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: icon })));
  }
  if (text) el.append(html("span", {}, ...inHtml(text)));
  return el;
}
