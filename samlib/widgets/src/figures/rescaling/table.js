// The numbers behind the pictures of the figure "Rescaling".

import { tableOfColumns } from "../../shared/take-away/table.js";
import { DISTANCES, measure } from "./world.js";

const UNITS =
  "alpha; distance from the network along the top eigenvector of its Hessian; loss of training there; top_eigenvalue and " +
  "trace of the Hessian at the network rescaled by alpha. The first alpha is the one shown";

/** Beside the α that is shown. */
const LADDER = [0.03, 0.1, 0.3, 1, 3, 10, 30];

/** @param {number} alpha */
export const scales = (alpha) => [alpha, ...LADDER.filter((other) => other !== alpha)];

/** An eigenvector of which a table tells nine digits. */
const EXACT = { tolerance: 1e-12, most: 300 };

/** @param {import("./world.js").World} world */
export function tableOf({ state, trained }) {
  const found = scales(state.alpha).map((alpha) => ({ alpha, ...measure(trained, alpha, EXACT) }));
  const rows = found.flatMap((each) => Array.from(DISTANCES, (distance, k) => ({ ...each, distance, loss: each.profile[k] })));
  return tableOfColumns(UNITS, {
    alpha: rows.map(({ alpha }) => alpha),
    distance: rows.map(({ distance }) => distance),
    loss: rows.map(({ loss }) => loss),
    top_eigenvalue: rows.map(({ top }) => top),
    trace: rows.map(({ trace }) => trace),
  });
}
