// The list of what the lines and marks of a figure mean.

import { cssName, html, svg } from "./dom.js";
import { shapeOf } from "./marks.js";
import { inHtml } from "./subscripts.js";

/** @typedef {[name: string, shapes: Node[], text: string]} Entry its style is the class samlib-key-… of its name */

/** A line across a sample. */
export const line = () => svg("path", { d: "M1 7h30", class: "samlib-key-line" });

/** A method's line with its mark. @param {import("./marks.js").Method} name @param {string} text @returns {Entry} */
export const method = (name, text) => [
  name, [line(), svg("path", { d: shapeOf(name, 16, 7), class: "samlib-key-mark" })], text,
]; // prettier-ignore

/** A small picture of how something is drawn. @param {string} name @param {...Node} shapes */
export const sample = (name, ...shapes) =>
  svg("svg", { viewBox: "0 0 32 14", class: `samlib-key samlib-key-${cssName(name)}`, "aria-hidden": "true" }, ...shapes);

/** @param {Entry[]} entries @param {...HTMLElement} more items with controls in them */
export const createLegend = (entries, ...more) =>
  html(
    "ul", { class: "samlib-legend" },
    ...entries.map(([name, shapes, text]) =>
      html("li", { class: `samlib-entry-${cssName(name)}` }, sample(name, ...shapes), html("span", {}, ...inHtml(text)))),
    ...more,
  ); // prettier-ignore

/** An arrow across a sample. */
export const pointed = () => svg("path", { d: "M1 7h22m0-4l8 4l-8 4z" });
