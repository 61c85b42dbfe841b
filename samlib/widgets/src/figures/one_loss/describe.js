// What the figure "OneLossThreeDestinations" shows, in words.

import { CURVATURES } from "../../dynamics/four-dimensional.js";
import { count, number } from "../../shared/format.js";
import { TITLES } from "./bowls.js";
import { DESTINATIONS, METHODS } from "./destinations.js";

/** @typedef {import("./figure.js").View} View */

const SYMBOLS = { top_eigenvalue: "λ₁", trace: "trace", smallest_nonzero_eigenvalue: "λ_M" };

/**
 * One sentence that says what is shown.
 *
 * @param {View} view
 * @returns {string}
 */
export function describe({ state, world }) {
  const at = 4 * state.frame;
  const parts = METHODS.map((method) => {
    const { x } = world.runs[method];
    if (world.diverged(method) && !(Math.abs(x[at]) + Math.abs(x[at + 1]) < 1e3)) {
      return `${TITLES[method]} has diverged`;
    }
    const { descends: kind, x: best } = DESTINATIONS[method];
    const least = CURVATURES[kind](...best);
    const place = `(${fixed(x[at])}, ${fixed(x[at + 1])})`;
    const value = number(CURVATURES[kind](x[at], x[at + 1]), 4);
    return `${TITLES[method]} at ${place}, ${SYMBOLS[kind]} = ${value} (least ${number(least, 4)})`;
  });
  const diverging = METHODS.filter((method) => world.diverged(method)).map((method) => TITLES[method]);
  const who = diverging.length > 1 ? `${diverging.slice(0, -1).join(", ")} and ${diverging.at(-1)}` : diverging[0];
  const warning = who ? ` With these ρ and η ${who} diverge${diverging.length > 1 ? "" : "s"}.` : "";
  const tau = number(world.time(state.frame), 3);
  return `Step ${count(state.frame)}, τ = ηρ²t = ${tau}: ${parts.join("; ")}.${warning}`;
}

/** A coordinate with three decimals. @param {number} value */
const fixed = (value) => number(Number(value.toFixed(3)));
