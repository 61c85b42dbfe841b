// What the figure "SpectrumInTraining" shows, in words.

import { count, number } from "../../shared/format.js";
import { edgeOfStability } from "./sweep.js";

/** @typedef {import("./sweep.js").Run} Run */

/** One sentence that says what is shown. @param {import("./figure.js").View} view */
export function describe({ sweep, state, now }) {
  const { rho, step } = now();
  const say = (/** @type {Run} */ run, /** @type {string} */ name, /** @type {string} */ aside) => {
    const at = (/** @type {string} */ what) => sweep.at(what, run, rho, step);
    return (
      `${name} has λ₁ = ${number(at("eigenvalues"))}${aside}, trace ${number(at("trace"))}, ` +
      `loss ${number(at("loss"))}, test accuracy ${number(100 * at("test_accuracy"))} %`
    );
  };
  const edge = edgeOfStability(sweep.lr.sam, state.rho, sweep.at("gradient_norm", "sam", rho, step));
  const own = `after ${count(state.step * sweep.stride)} steps of one row each`;
  const parts = [
    say("gradient_descent", "gradient descent", ` (2/η = ${number(2 / sweep.lr.sam)})`),
    ...(state.rho > 0 ? [say("sam", "SAM", ` (its edge of stability: ${number(edge)})`)] : []),
    say("one_sam", `${state.rho > 0 ? "1-SAM" : "SGD, as 1-SAM is then,"} ${own}`, ""),
  ];
  return `At step ${count(state.step)} with ρ = ${number(state.rho)}: ${parts.join("; ")}.`;
}
