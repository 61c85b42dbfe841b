// The numbers behind the pictures of the figure "Alignment".

import { coordinatesOf, inOrder, tableOfColumns } from "../../shared/take-away/table.js";

const UNITS =
  "step; tau = lr·rho²·step; x1, x2, … iterates; angle between the gradient and v1 in degrees; distance from the minimizers; " +
  "top_eigenvalue, of the Hessian at the nearest minimizer; share1, share2, … of the squared gradient along each coordinate";

/** @param {import("./world.js").World} world */
export function tableOf({ state, samples, dim, flat, sam, descent, shares }) {
  const places = inOrder(samples);
  const steps = places.map(([t]) => t);
  const pick = (/** @type {Float64Array} */ values) => places.map(([, at]) => values[at]);
  /** @param {string} name @param {import("./world.js").Series} series */
  const columnsOf = (name, series) => ({
    ...coordinatesOf(name, series.x, dim, steps),
    [`${name}_angle`]: pick(series.angle),
    [`${name}_distance`]: pick(series.distance),
    [`${name}_top_eigenvalue`]: pick(series.sharpness),
  });
  return tableOfColumns(UNITS, {
    step: steps,
    tau: steps.map((t) => state.lr * state.rho * state.rho * t),
    ...columnsOf("sam", sam),
    ...columnsOf("gradient_descent", descent),
    ...(flat ? Object.fromEntries(shares.map((values, i) => [`sam_share${i + 1}`, pick(values)])) : {}),
  });
}
