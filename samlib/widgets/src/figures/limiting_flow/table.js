// The numbers behind the pictures of the figure "LimitingFlow".

import { flowAt } from "../../dynamics/flow.js";
import { coordinatesOf, tableOfColumns } from "../../shared/take-away/table.js";

const UNITS =
  "checkpoint; step; tau = lr·rho²·step; top_eigenvalue and trace of the Hessian at the minimizer beside the run; alignment, |cos| of the angle " +
  "between the gradient and v1; the same of the limiting flows at tau: WHAT_of_flow_of_WHICH, and of the flow of λ₁ at this lr (and rho); x1, x2, … the weights";

const KINDS = /** @type {const} */ (["top_eigenvalue", "trace"]);

/** @param {import("./bench.js").Bench} bench */
export function tableOf({ course, ground }) {
  if (!course || !ground) return tableOfColumns(UNITS, { checkpoint: [] });
  const known = Array.from({ length: course.done + 1 }, (_, n) => n);
  const of = (/** @type {ArrayLike<number>} */ values) => known.map((n) => values[n]);
  const { corrected } = course;
  const flows = [...KINDS.map((name) => /** @type {const} */ ([name, ground.flows[name]])), ...(corrected ? [/** @type {const} */ (["corrected", corrected])] : [])]; // prettier-ignore
  return tableOfColumns(UNITS, {
    checkpoint: known,
    step: of(course.steps),
    tau: of(course.tau),
    top_eigenvalue: of(course.top_eigenvalue),
    trace: of(course.trace),
    alignment: of(course.alignment),
    ...Object.fromEntries(
      flows.flatMap(([name, flow]) => KINDS.map((kind) => [`${kind}_of_flow_of_${name}`, known.map((n) => flowAt(flow, kind, course.tau[n]))])),
    ),
    ...coordinatesOf("sam", course.x, ground.fitted.length, known),
  });
}
