// The numbers behind the pictures of the figure "OppositeDrifts".

import { valleyTop, valleyTrace } from "../../dynamics/two-valleys.js";
import { along, coordinatesOf, tableOfColumns } from "../../shared/take-away/table.js";

const UNITS =
  "step; tau = lr·rho²·step; x, y1, y2 of each run; top_eigenvalue and trace of the Hessian at the nearest minimizer; flow_top_eigenvalue " +
  "and flow_trace, where along x the limiting flow of each is at tau";

/** @param {import("./valleys.js").Valleys} valleys */
export function tableOf({ state, keys, courses, flows }) {
  const shown = courses.filter(({ name }) => name !== "mini_batch" || state.batch_size > 1);
  const runs = shown.map(({ name, x }) => ({
    ...coordinatesOf(name, x, 3, keys, ["x", "y1", "y2"]),
    [`${name}_top_eigenvalue`]: along(x, 3, keys, valleyTop),
    [`${name}_trace`]: along(x, 3, keys, valleyTrace),
  }));
  return tableOfColumns(UNITS, {
    step: keys,
    tau: keys.map((t) => state.lr * state.rho * state.rho * t),
    ...runs.reduce((all, more) => ({ ...all, ...more })),
    flow_top_eigenvalue: flows.top_eigenvalue,
    flow_trace: flows.trace,
  });
}
