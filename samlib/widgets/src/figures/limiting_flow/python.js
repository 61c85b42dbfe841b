// The lines of Python that compute what the figure "LimitingFlow" shows.

import { constants } from "../../schema.js";
import { real } from "../../shared/take-away/python.js";

/** @param {import("./bench.js").Bench} bench */
export function pythonOf({ state: { network, lr, rho, batch_size, flow } }) {
  const full = batch_size === constants.limiting_flow.points;
  const corrected = full && flow !== "limit";
  return `
loss = samlib.problems.interpolating_network(seed=${network}).objective
lr, rho = ${real(lr)}, ${real(rho)}
${full ? WALK : BATCHES}
# The minimizer beside each point: where gradient flow arrives. The page goes there by
# Newton's steps instead, so that λ₁ and the trace differ in the fourth or fifth digit.
near = samlib.project_to_minimizers(loss, x, progress=False)
spectrum = torch.linalg.eigvalsh(loss.hessian(near.x))
times = figure.times  # τ = lr·rho²·step
table = {
    "checkpoint": range(len(x)),
    "step": figure.steps,
    "tau": times,
    "top_eigenvalue": spectrum[:, -1],
    "trace": spectrum.sum(dim=-1),
    "alignment": samlib.alignment(loss, x, progress=False),
}
flows = {  # from where gradient descent had fitted the network
    name: samlib.limiting_flow(loss, figure.fitted, name, times, progress=False)
    for name in ("top_eigenvalue", "trace")
}
${corrected ? CORRECTED(flow === "both") : ""}for name, flow in flows.items():
    table[f"top_eigenvalue_of_flow_of_{name}"] = flow.top_eigenvalue
    table[f"trace_of_flow_of_{name}"] = flow.trace
table |= {f"sam_x{i + 1}": weight for i, weight in enumerate(x.T)}
`;
}

const WALK = `rule = samlib.rules.SAM(lr, rho)
walk = [figure.fitted]
for count in figure.steps.diff().tolist():  # from checkpoint to checkpoint
    run = samlib.simulate(
        loss, rule, walk[-1], count, every=count, record=("x",), progress=False
    )
    walk.append(run.x[0, -1])
x = torch.stack(walk)`;

const BATCHES = "x = figure.x  # by samlib.simulate with samlib.rules.StochasticSAM, on the batches that the page draws";

const CORRECTED = (/** @type {boolean} */ both) => `flows["corrected"] = samlib.limiting_flow(
    loss, figure.fitted, "top_eigenvalue", times, lr=lr${both ? ", rho=rho" : ""}, progress=False
)
`;
