// The lines of Python that compute what the figure "ThreeNotions" shows.

import { real, reals, vector } from "../../shared/take-away/python.js";

/** @param {import("./figure.js").View} view */
export function pythonOf({ state: { loss, point, rho }, config: { spectra } }) {
  const landscape = { "curved valley": "CurvedValley()", saddle: "DoubleWell()" }[String(loss)];
  return `
loss = samlib.landscapes.${landscape ?? `Quadratic(${reals(spectra[loss])})`}
x, rho = ${vector(point)}, ${real(rho)}
angles = torch.arange(360, dtype=torch.float64)
u = torch.stack([torch.deg2rad(angles).cos(), torch.deg2rad(angles).sin()], dim=-1)
rise = loss.value(x + rho * u) - loss.value(x)
slope = rho * (u @ loss.gradient(x))
bend = rho**2 / 2 * ((u @ loss.hessian(x)) * u).sum(dim=-1)
names = {"worst": "R_max", "ascent": "R_asc", "average": "R_avg"}
exact, second = figure.sharpness(), figure.predicted()  # by samlib.worst_direction_sharpness, …
table = {"angle": angles, "rise": rise, "rise_to_second_order": slope + bend}
table |= {names[notion]: value for notion, value in exact.items()}
table |= {f"{names[notion]}_to_second_order": value for notion, value in second.items()}
`;
}
