// The lines of Python that give what the figure "SpectrumInTraining" shows.

import { real } from "../../shared/take-away/python.js";

/** How the table of all runs names one: gradient descent is SAM with ρ = 0. @type {Record<string, [method: string, rho: string]>} */
const ROWS = { gradient_descent: ["sam", "0.0"], sam: ["sam", "rho"], one_sam: ["one_sam", "rho"] };

/** @param {import("./figure.js").View} view */
export function pythonOf({ state, now }) {
  const runs = now().runs.map((run) => `    "${run}": ("${ROWS[run][0]}", ${ROWS[run][1]}),`);
  return `
rho = ${real(state.rho)}
everything = figure.to_dataframe()  # of all runs: they ship with samlib
runs = {  # by name: method and ρ
${runs.join("\n")}
}
quantities = ["loss", "test_accuracy", "gradient_norm", "trace", "alignment", "top_alignment"]
quantities += [f"eigenvalue_{k}" for k in range(1, 11)]
table = {}
for name, (method, radius) in runs.items():
    rows = everything.query("method == @method and rho == @radius")
    table["step"] = rows["step"].to_numpy()
    for quantity in quantities:
        table[f"{name}_{quantity}"] = rows[quantity].to_numpy()
`;
}
