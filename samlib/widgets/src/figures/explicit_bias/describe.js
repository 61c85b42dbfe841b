// What the figure "ExplicitBias" shows, in words.

import { PREFERRED } from "../../dynamics/limiting-regularizers.js";
import { number } from "../../shared/format.js";
import { METHODS } from "./arrivals.js";
import { QUANTITIES } from "./quantities.js";

/** @typedef {import("./view.js").View} View */

/**
 * One sentence that says what is shown; Python's `sentence` says the same.
 *
 * @param {View} view
 */
export function describe({ state, here, least, from, arrivals }) {
  const { notion, times, symbol } = QUANTITIES[state.quantity];
  const excess = times * (here[notion] - least[notion]);
  const value = number(times * here[notion], 4);
  const bottom = number(times * least[notion], 4);
  const [a, b] = PREFERRED[notion].map((v) => number(v));
  const verdict =
    excess < 1e-3
      ? `${symbol} is within 0.001 of ${bottom}, its least value on Γ`
      : `${symbol} = ${value} could still fall by ${number(excess)}, to ${bottom} at (${a}, ${b})`;
  const [low, high] = [number(here.ascent), number(here.worst)];
  const band =
    low === high
      ? `Sᴬˢᶜ = ${low} from every side`
      : `Sᴬˢᶜ between ${low} and ${high} (${number(from.value)} with x′ at ${number(state.approach)}°)`;
  const { frame } = state;
  const [plain, sam] = METHODS.map((method) => number(arrivals[method].halfCurvature[frame]));
  const arrived = state.panels.includes("arrival")
    ? ` After ${frame} step${frame === 1 ? "" : "s"} from x′, ½uᵀ∇²L u is ${plain} under gradient descent and ${sam} under SAM.`
    : "";
  return (
    `At x₁ = ${number(state.point[0])}, x₂ = ${number(state.point[1])}: Sᴹᵃˣ = λ₁/2 = ${high}, ` +
    `${band}, Sᴬᵛᵍ = Tr/8 = ${number(here.average)}; ${verdict}.${arrived}`
  );
}
