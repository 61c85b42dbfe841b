// The numbers behind the pictures of the figure "SpectrumInTraining".

import { tableOfColumns } from "../../shared/take-away/table.js";

const UNITS =
  "step, of the full batch; for each run at this rho: loss of training, test_accuracy (share of the rows), gradient_norm, trace of the Hessian, " +
  "alignment, |cos| of the gradient with v1, top_alignment, with the span of the ten top eigenvectors, eigenvalue_1 … eigenvalue_10";

const NAMES = ["loss", "test_accuracy", "gradient_norm", "trace", "alignment", "top_alignment"];

/** @param {import("./figure.js").View} view */
export function tableOf({ sweep, now }) {
  const { rho, runs } = now();
  /** @param {import("./sweep.js").Run} run @param {string} name @param {number} [k] */
  const column = (run, name, k) => sweep.steps.map((_, step) => sweep.at(name, run, rho, step, k));
  const columns = runs.flatMap((run) => [
    ...NAMES.map((name) => [`${run}_${name}`, column(run, name)]),
    ...Array.from({ length: sweep.tables.eigenvalues.size }, (_, k) => [`${run}_eigenvalue_${k + 1}`, column(run, "eigenvalues", k)]),
  ]); // prettier-ignore
  return tableOfColumns(UNITS, { step: sweep.steps, ...Object.fromEntries(columns) });
}
