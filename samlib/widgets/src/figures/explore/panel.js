// A panel with a place for each eigenvalue.

import { scaleLinear } from "d3-scale";
import { html } from "../../shared/dom.js";
import { subscript } from "../../shared/format.js";
import { disc, paint } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";

/** Eigenvalues have names of at least this width. */
const NAME_WIDTH = 26;

/** @param {import("./view.js").View} view @param {string} title */
export function createPanel(view, title) {
  const plot = createPlot({
    className: "samlib-panel samlib-still",
    margin: { left: 52, right: 12, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  plot.name(title, "", "");
  const aside = html("span", { class: "samlib-aside" });
  plot.heading.append(aside);
  return {
    plot,
    /** Beside the title. @param {string} text */
    say(text) {
      if (aside.textContent !== text) aside.textContent = text;
    },
    /** @param {number} many @param {string} letter */
    places(many, letter) {
      const { box } = plot;
      const x = scaleLinear([0.5, many + 0.5], [box.left, box.right]);
      const stride = Math.ceil(NAME_WIDTH / (x(2) - x(1)));
      const xTicks = Array.from({ length: many }, (_, i) => i + 1).filter((n) => (n - 1) % stride === 0);
      return { x, xTicks, xFormat: (/** @type {number} */ n) => letter + subscript(n) };
    },
  };
}

/**
 * The disc of an eigenvalue, the first one filled.
 *
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} i its number, from 0
 * @param {import("../../shared/theme.js").Palette} colours
 */
export const drawDisc = (context, x, y, i, colours) =>
  paint(context, disc(x, y, 5), i === 0 ? colours.eigenvector : colours.plot, colours.ink, 2);
