// The numbers that move, and the one that does not.

import { html } from "../../shared/dom.js";
import { number } from "../../shared/format.js";

/** A change of an output below this is rounding. */
const ROUNDING = 1e-9;

/** Three digits without an exponent: 2.98, 16,200. @param {number} value */
export const plain = (value) => number(Number(value.toPrecision(3)), 6);

/** @param {import("./world.js").World} world */
export function createNumbers(world) {
  const [top, trace, change] = ["worst", "average", "ink"].map((colour) => {
    const value = html("b");
    const factor = html("span");
    return { value, factor, colour };
  });
  const titles = ["sharpness λ₁", "trace", "answers change by"];
  const el = html(
    "div", { class: "samlib-rescaling-numbers" },
    ...[top, trace, change].map(({ value, factor, colour }, i) =>
      html("div", { class: `samlib-rescaling-${colour}` }, html("span", {}, titles[i]), value, factor)),
  ); // prettier-ignore
  return {
    el,
    show() {
      const { now, opening } = world;
      top.value.textContent = plain(now.top);
      top.factor.textContent = `× ${plain(now.top / opening.top)}`;
      trace.value.textContent = plain(now.trace);
      trace.factor.textContent = `× ${plain(now.trace / opening.trace)}`;
      change.value.textContent = world.change() < ROUNDING ? "0" : number(world.change(), 2);
      change.factor.textContent = "up to rounding";
    },
  };
}
