// Names with a letter below the line, as λ_M: written with an underscore in the code, and never shown so.

import { html, svg } from "./dom.js";

/** What follows an underscore: one letter. */
const BELOW = /_(\p{L})/u;

/** Text and subscripts by turns, beginning with text. @param {string} text */
const pieces = (text) => text.split(BELOW);

/** The text alone, for where nothing can stand below the line. @param {string} text */
export const plain = (text) => pieces(text).join("");

/** For a page. @param {string} text @returns {(Node | string)[]} */
export const inHtml = (text) => pieces(text).map((piece, i) => (i % 2 ? html("sub", {}, piece) : piece));

/** Of an SVG text. @param {string} text @returns {(Node | string)[]} */
export const inSvg = (text) =>
  pieces(text).map((piece, i, { length }) => {
    if (i % 2) return svg("tspan", { dy: 3, class: "samlib-below" }, piece);
    return i && i < length && piece ? svg("tspan", { dy: -3 }, piece) : piece;
  });
