// The numbers, each with its error.

import { html } from "../../shared/dom.js";
import { number } from "../../shared/format.js";
import { NOTIONS, withError } from "./drawing.js";

/** @typedef {import("./drawing.js").Notion} Notion */

/** @type {Record<Notion, string>} */
export const NAMES = { worst: "worst direction", ascent: "gradient’s direction", average: "average direction" };

/** @param {import("./view.js").View} view */
export function createTable(view) {
  const where = html("span");
  const facts = html("span", { class: "samlib-aside" });
  const cells = NOTIONS.map(() => ["td", "td", "td"].map(() => html("td")));
  const head = ["", "L rises by", "error", "to second order"].map((text) =>
    text ? html("th", { scope: "col" }, text) : html("td"),
  );
  const el = html(
    "table", { class: "samlib-numbers" }, html("caption", {}, where, facts),
    html("thead", {}, html("tr", {}, ...head)),
    html("tbody", {}, ...NOTIONS.map((notion, i) =>
      html("tr", {}, html("th", { scope: "row" }, NAMES[notion]), ...cells[i]),
    )),
  ); // prettier-ignore
  return {
    el,
    draw() {
      const { shown, point, faint } = view;
      const of = (/** @type {number | null | undefined} */ v, digits = 3) => (v == null ? "–" : number(v, digits));
      where.textContent = shown ? `At ρ = ${number(shown.rho)}` : "Sharpness";
      facts.textContent = point
        ? ` L(x) = ${number(point.loss)}, ‖∇L‖ = ${number(point.gradient)}, Tr ∇²L = ${withError(point.trace, point.trace_error)}`
        : "";
      el.classList.toggle("samlib-faint", faint);
      const spread = point?.trace ? Math.abs((point.trace_error ?? 0) / point.trace) : 0;
      NOTIONS.forEach((notion, i) => {
        const { value, error, predicted } = shown?.[notion] ?? {};
        const exact = notion === "ascent";
        const least = notion === "worst" && value != null ? "at least " : "";
        const off = notion === "average" && predicted && spread ? ` ± ${number(predicted * spread, 1)}` : "";
        const texts = [
          least + of(value),
          value == null ? "–" : exact ? "rounding" : notion === "worst" ? `+ ${error == null ? "∞" : of(error, 1)}` : `± ${of(error, 1)}`,
          of(predicted) + off,
        ];
        texts.forEach((text, k) => {
          if (cells[i][k].textContent !== text) cells[i][k].textContent = text;
        });
      });
    },
  };
}
