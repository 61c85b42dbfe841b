// The numbers behind the pictures of the figure "OneLossThreeDestinations".

import { CURVATURES } from "../../dynamics/four-dimensional.js";
import { along, coordinatesOf, inOrder, tableOfColumns } from "../../shared/take-away/table.js";
import { METHODS } from "./destinations.js";

const UNITS =
  "step; tau = lr·rho²·step; x1, x2, x3, x4 of each run; top_eigenvalue, smallest_nonzero_eigenvalue and trace of the Hessian at the " +
  "nearest minimizer; flow_x1, flow_x2 of the run's limiting flow at tau";

/** @param {import("./destinations.js").Destinations} world */
export function tableOf(world) {
  const steps = inOrder(world.samples).map(([t]) => t);
  /** @param {import("./destinations.js").Method} name */
  const columnsOf = (name) => {
    const { x } = world.runs[name];
    const flow = steps.map((t) => world.flow(name, world.time(t)));
    return {
      ...coordinatesOf(name, x, 4, steps),
      ...Object.fromEntries(Object.entries(CURVATURES).map(([kind, of]) => [`${name}_${kind}`, along(x, 4, steps, of)])),
      // Without ρ nothing flows.
      ...(world.state.rho > 0 && {
        [`${name}_flow_x1`]: flow.map(([a]) => a),
        [`${name}_flow_x2`]: flow.map(([, b]) => b),
      }),
    };
  };
  return tableOfColumns(UNITS, {
    step: steps,
    tau: steps.map(world.time),
    ...METHODS.map(columnsOf).reduce((all, more) => ({ ...all, ...more })),
  });
}
