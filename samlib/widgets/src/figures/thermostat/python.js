// The lines of Python that compute what the figure "Thermostat" shows.

import { real, vector } from "../../shared/take-away/python.js";

/** @param {import("./world.js").World} world */
export function pythonOf({ state: { eigenvalues, start, norm, rho, lr, steps }, balance }) {
  const still = eigenvalues.every((lambda, i) => lambda * start[i] === 0);
  return `
eigenvalues = ${vector(eigenvalues)}
loss = samlib.Objective(lambda x: (eigenvalues * x**2).sum(dim=-1) / 2, ${eigenvalues.length})
start = ${vector(start)}
${still ? "" : `start = start * ${real(norm)} / loss.gradient(start).norm()  # ‖∇L‖ is so long there\n`}lr, rho, steps = ${real(lr)}, ${real(rho)}, ${steps}
rule = samlib.rules.SAM(lr, rho)
x = samlib.simulate(loss, rule, start, steps, record=("x",), progress=False).x[0]
gradient = loss.gradient(x)
norm = gradient.norm(dim=-1)
multiplier = ${rho > 0 ? "1 - lr * eigenvalues - lr * rho * eigenvalues**2 / norm[:, None]" : "(1 - lr * eigenvalues).expand_as(gradient)"}
table = {"step": range(steps + 1), "gradient_norm": norm}
for i in range(len(eigenvalues)):
    table[f"gradient_{i + 1}"] = gradient[:, i]
    table[f"multiplier_{i + 1}"] = multiplier[:, i]
${Number.isNaN(balance) ? 'table["balance"] = float("nan")  # there is none' : BALANCE}
`;
}

const BALANCE = `top = float(eigenvalues.max())
table["balance"] = lr * rho * top**2 / (2 - lr * top)`;
