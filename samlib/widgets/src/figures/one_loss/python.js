// The lines of Python that compute what the figure "OneLossThreeDestinations" shows.

import { real, vector } from "../../shared/take-away/python.js";
import { inOrder } from "../../shared/take-away/table.js";

/** Steps at which the limiting flows are compared; they are smooth, and costly. */
const COMPARED = 40;

/** @param {import("./destinations.js").Destinations} world */
export function pythonOf({ state: { start, lr, rho, steps }, samples }) {
  const drawn = inOrder(samples).map(([t]) => t);
  const stride = Math.ceil(drawn.length / COMPARED);
  const some = drawn.filter((_, k) => k % stride === 0);
  return `
loss = samlib.landscapes.FourDimensional()
start = ${vector(start)}
lr, rho, steps = ${real(lr)}, ${real(rho)}, ${steps}
runs = {  # by method: its rule, what it draws, and what its limiting flow descends
    "sam": (samlib.rules.SAM(lr, rho), None, "top_eigenvalue"),
    "one_sam": (samlib.rules.StochasticSAM(lr, rho), figure.draws, "trace"),
    "ascent_loss_descent": (
        samlib.rules.AscentLossDescent(lr, rho), None, "smallest_nonzero_eigenvalue"
    ),
}
manifold = loss.minimizer_manifold
landing = samlib.project_to_minimizers(loss, start, progress=False).x
some = ${JSON.stringify(some)}  # where the flows are known
times = torch.tensor([lr * rho**2 * t for t in some], dtype=torch.float64)
table = {"step": range(steps + 1), "tau": [lr * rho**2 * t for t in range(steps + 1)]}
for name, (rule, draws, descends) in runs.items():
    x = samlib.simulate(loss, rule, start, steps, record=("x",), draws=draws).x[0]
    for i, coordinate in enumerate(x.T):
        table[f"{name}_x{i + 1}"] = coordinate
    table[f"{name}_top_eigenvalue"] = manifold.top_eigenvalue(x)
    table[f"{name}_smallest_nonzero_eigenvalue"] = manifold.smallest_nonzero_eigenvalue(x)
    table[f"{name}_trace"] = manifold.trace(x)
${rho > 0 ? FLOWS : ""}`;
}

const FLOWS = `    flow = samlib.limiting_flow(loss, landing, descends, times, progress=False)
    for i in range(2):
        known = pd.Series(flow.x[:, i], index=some)
        table[f"{name}_flow_x{i + 1}"] = known.reindex(range(steps + 1)).to_numpy()
`;
