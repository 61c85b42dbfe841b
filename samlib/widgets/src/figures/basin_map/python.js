// The lines of Python that compute what the figure "BasinMap" shows.

import { real, vector } from "../../shared/take-away/python.js";
import { sideOf } from "./table.js";

/** @type {Record<import("./ends.js").Task["method"], (lr: number, rho: number) => string>} */
const RULES = {
  sam: (lr, rho) => `SAM(${real(lr)}, ${real(rho)})`,
  gradient_descent: (lr) => `GradientDescent(${real(lr)})`,
  ascent_loss_descent: (lr, rho) => `AscentLossDescent(${real(lr)}, ${real(rho)})`,
};

/** @param {import("./world.js").World} world */
export function pythonOf({ state, loss: { landscape } }) {
  const { method, lr, rho, steps, start, center, reach, across } = state;
  const rest = across.slice(0, landscape.dim - 2);
  return `
loss = figure.objective
rule = samlib.rules.${RULES[method](lr, rho)}
steps, side = ${steps}, ${sideOf(state)}  # a side of the map has so many starts
part = ((torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 - 1) * ${real(reach)}
x2, x1 = torch.meshgrid(${real(center[1])} + part, ${real(center[0])} + part, indexing="ij")
starts = torch.stack([x1.flatten(), x2.flatten()], dim=-1)
path = samlib.simulate(  # the run that is drawn
    loss, rule, ${vector([...start, ...rest])}, steps, record=("x",), progress=False
).x[0]
${rest.length ? `rest = ${vector(rest)}\nstarts = torch.cat([starts, rest.expand(len(starts), -1)], dim=-1)\n` : ""}# Where runs are chaotic, as on a ridge, rounding decides where they are in the end.
run = samlib.simulate(
    loss, rule, starts, steps, every=steps, record=("x",), progress=False
)
last = run.x[:, -1]
columns = {"start": starts, "last": last, "next": rule.step(loss, last)}
ends = figure.ends(side)  # the places in figure.places; 100 a slope, 101 elsewhere, 102 gone
table = {
    f"{name}_x{i + 1}": x[:, i] for name, x in columns.items() for i in range(loss.dim)
}
table |= {"label": ends.label, "arrival": ends.arrival}
`;
}
