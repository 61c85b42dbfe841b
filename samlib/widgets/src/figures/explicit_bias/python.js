// The lines of Python that compute what the figure "ExplicitBias" shows.

import { real, vector } from "../../shared/take-away/python.js";

/** @param {import("./view.js").View} view */
export const pythonOf = ({ state: { point, approach } }) => `
loss = samlib.landscapes.FourDimensional()
x = ${vector([...point, 0, 0])}
regularizers = samlib.limiting_regularizers(loss, x)
sides = [*range(0, 91, 5), ${real(approach)}]
turns = torch.deg2rad(torch.tensor(sides, dtype=torch.float64))
nearby = torch.zeros(len(sides), 4, dtype=torch.float64)
nearby[:, 2], nearby[:, 3] = turns.cos(), turns.sin()
gradient = loss.hessian_vector_product(x, nearby)  # to first order, at x′ = x + ε·nearby
u = gradient / gradient.norm(dim=-1, keepdim=True)
table = {
    "approach": sides,
    "u3": u[:, 2],
    "u4": u[:, 3],
    "half_curvature": (u * loss.hessian_vector_product(x, u)).sum(dim=-1) / 2,
    "S_max": float(regularizers.worst.value),
    "S_asc": float(regularizers.ascent.value),
    "S_avg": float(regularizers.average.value),
}
`;
