// What the figure "OppositeDrifts" shows, in words.

import { valleyTop, valleyTrace } from "../../dynamics/two-valleys.js";
import { count, number } from "../../shared/format.js";

/** @typedef {import("./valleys.js").Course} Course */
/** @typedef {import("./valleys.js").Valleys} Valleys */

/** One sentence that says what is shown. @param {Valleys} valleys */
export function describe(valleys) {
  const { state, courses } = valleys;
  const [descent, sam, batches, single] = courses;
  const say = (/** @type {Course} */ course, /** @type {string} */ name) => {
    const x = valleys.at(course);
    return valleys.diverged(course, state.frame)
      ? `${name} has left the valleys: η = ${number(state.lr)} is too large for it`
      : `${name} is at x = ${number(x)} (λ₁ = ${number(valleyTop(x))}, trace ${number(valleyTrace(x))})`;
  };
  const x = state.start[0];
  const parts = [
    say(sam, "full-batch SAM"),
    ...(state.batch_size > 1 ? [say(batches, `SAM on batches of ${state.batch_size}`)] : []),
    say(single, "1-SAM"),
    say(descent, "gradient descent"),
  ];
  return (
    `Step ${count(state.frame)}, from x = ${number(x)} with λ₁ = ${number(valleyTop(x))} and trace ` +
    `${number(valleyTrace(x))}: ${parts.join("; ")}.`
  );
}
