// What the figure "ThreeNotions" shows, in words.

import { number } from "../../shared/format.js";
import { KINDS } from "./notions.js";

/** @typedef {import("./figure.js").View} View */

/**
 * One sentence that says what is shown.
 *
 * @param {View} view
 * @returns {string}
 */
export function describe({ state, world: { at } }) {
  const point = `At x = (${state.point.map((v) => number(v)).join(", ")})`;
  if (state.rho === 0) return `${point} with ρ = 0 there is no circle, and all three sharpnesses are 0.`;
  const { worst, ascent, average } = at;
  const apart = Math.abs(Math.atan2(Math.sin(worst.angle - ascent.angle), Math.cos(worst.angle - ascent.angle)));
  const degrees = number((apart * 180) / Math.PI, 2);
  const opposite = at.tie ? "; so does the opposite direction" : "";
  const uphill =
    at.slope === 0
      ? `∇L = 0, so there is no gradient direction (u = (1, 1)/√2 is taken, which raises it by ${number(ascent.sharpness)})`
      : `the gradient’s direction, ${apart < 1e-6 ? "the same" : `${degrees}° from it`}, raises it by ${number(ascent.sharpness)}`;
  const predicted = KINDS.map((kind) => number(at[kind].predicted));
  return (
    `${point} with ρ = ${number(state.rho)} the worst direction raises L by ${number(worst.sharpness)}${opposite}; ` +
    `${uphill}; the average over the circle is ${number(average.sharpness)}. ` +
    `To second order: ${predicted[0]}, ${predicted[1]} and ${predicted[2]}.`
  );
}
