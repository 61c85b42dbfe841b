// The lines of Python that compute what the figure "OppositeDrifts" shows.

import { real, vector } from "../../shared/take-away/python.js";

/** So many times of the limiting flows. */
const TIMES = 40;

/** @param {import("./valleys.js").Valleys} valleys */
export function pythonOf({ state: { start, lr, rho, steps, batch_size }, keys }) {
  const some = keys.filter((_, k) => k % Math.ceil(keys.length / TIMES) === 0);
  const batches = `
    "mini_batch": (samlib.rules.StochasticSAM(lr, rho, batch_size=${batch_size}), figure.draws),`;
  return `
loss = samlib.landscapes.TwoValleys()
start = ${vector(start)}
lr, rho, steps = ${real(lr)}, ${real(rho)}, ${steps}
runs = {  # by method: its rule, and what it draws
    "gradient_descent": (samlib.rules.GradientDescent(lr), None),
    "sam": (samlib.rules.SAM(lr, rho), None),${batch_size > 1 ? batches : ""}
    "one_sam": (samlib.rules.StochasticSAM(lr, rho), figure.draws[..., :1]),
}
manifold = loss.minimizer_manifold
table = {"step": range(steps + 1), "tau": [lr * rho**2 * t for t in range(steps + 1)]}
for name, (rule, draws) in runs.items():
    x = samlib.simulate(loss, rule, start, steps, record=("x",), draws=draws).x[0]
    for coordinate, values in zip(("x", "y1", "y2"), x.T):
        table[f"{name}_{coordinate}"] = values
    table[f"{name}_top_eigenvalue"] = manifold.top_eigenvalue(x)
    table[f"{name}_trace"] = manifold.trace(x)
some = ${JSON.stringify(some)}  # where the flows are known
times = torch.tensor([lr * rho**2 * t for t in some], dtype=torch.float64)
flows = figure.limiting_flows(times)  # by samlib.limiting_flow, from where gradient descent arrives
for name, flow in (flows or {}).items():
    known = pd.Series(flow.x[:, 0], index=some)
    table[f"flow_{name}"] = known.reindex(range(steps + 1)).to_numpy()
`;
}
