// The numbers behind the pictures of the figure "Thermostat".

import { tableOfColumns } from "../../shared/take-away/table.js";
import { multiplier } from "./multiplier.js";

const UNITS =
  "step; gradient_norm, the length of the gradient; gradient_1, … its part along the eigenvector of the first eigenvalue, …; " +
  "multiplier_1, … what the next step multiplies that part by; balance, the gradient_norm at which the multiplier of the " +
  "largest eigenvalue is -1, nan where there is none";

/** @param {import("./world.js").World} world */
export function tableOf({ state, gradients, norms, keys, balance }) {
  const { eigenvalues } = state;
  const each = (/** @type {string} */ name, /** @type {(i: number, t: number) => number} */ of) =>
    Object.fromEntries(eigenvalues.map((_, i) => [`${name}_${i + 1}`, keys.map((t) => of(i, t))]));
  return tableOfColumns(UNITS, {
    step: keys,
    gradient_norm: norms,
    ...each("gradient", (i, t) => gradients[t * eigenvalues.length + i]),
    ...each("multiplier", (i, t) => multiplier(eigenvalues[i], norms[t], state)),
    balance: keys.map(() => balance),
  });
}
