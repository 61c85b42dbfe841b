// The lines of Python that measure what the figure "Explore" shows.

import { literal } from "../../shared/take-away/python.js";

/** The network is the reader's: only they know its names. @param {import("./view.js").View} view */
export const pythonOf = ({ state: { rho }, measured }) => ({
  call: `samlib.widgets.explore(model, loss_fn, data, rho=${literal(rho)})  # your network, as it was`,
  lines: `
figure.sweep(${literal(measured.map((radius) => radius.rho))})
figure.wait()
table = {"rho": list(figure.results)}
for notion in ("worst", "ascent", "average"):
    rows = figure.to_dataframe().query("notion == @notion")
    for name in ("value", "error", "predicted"):
        table[f"{notion}_{name}"] = rows[name].to_numpy()
`,
});
