// What the figure "Explore" shows, in words.

import { count, number } from "../../shared/format.js";

/** One sentence that says what is shown; Python's `sentence` says the same. @param {import("./view.js").View} view */
export function describe({ network, point, shown }) {
  const what = `${network.name} with ${count(network.parameters)} parameters`;
  const { worst, ascent, average } = shown ?? {};
  if (!shown || !point || worst?.value == null || ascent?.value == null || average?.value == null) {
    return `${what}: ${point ? `L = ${number(point.loss)}; the sharpness is not measured yet` : "nothing is measured yet"}.`;
  }
  const [cosine] = point.cosines;
  const turn =
    cosine == null
      ? "the gradient is zero"
      : `the gradient is ${number((Math.acos(Math.min(cosine, 1)) * 180) / Math.PI)}° from v₁ (cosine ${number(cosine)})`;
  const top = point.eigenvalues[0] ?? NaN;
  return (
    `${what}, L = ${number(point.loss)}: within ρ = ${number(shown.rho)}, L rises by at least ${number(worst.value)} in ` +
    `the worst direction found, by ${number(ascent.value)} along the gradient and by ${number(average.value)} ± ` +
    `${number(average.error ?? 0, 1)} on average over all directions; λ₁ = ${number(top)}${point.converged ? "" : " (not settled)"}, and ${turn}.`
  );
}
