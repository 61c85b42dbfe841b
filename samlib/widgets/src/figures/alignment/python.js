// The lines of Python that compute what the figure "Alignment" shows.

import { real, reals, vector } from "../../shared/take-away/python.js";

/** @param {import("./world.js").World} world */
export function pythonOf({ state: { eigenvalues, start, lr, rho, steps }, flat }) {
  const landscape = flat ? `Quadratic(${reals(eigenvalues)})` : "FourDimensional()";
  return `
loss = samlib.landscapes.${landscape}
start = ${vector(start)}
lr, rho, steps = ${real(lr)}, ${real(rho)}, ${steps}
rules = {
    "sam": samlib.rules.SAM(lr, rho),
    "gradient_descent": samlib.rules.GradientDescent(lr),
}
manifold = loss.minimizer_manifold
table = {"step": range(steps + 1), "tau": [lr * rho**2 * t for t in range(steps + 1)]}
for name, rule in rules.items():
    x = samlib.simulate(loss, rule, start, steps, record=("x",)).x[0]
    gradient = loss.gradient(x)
    v1 = torch.linalg.eigh(loss.hessian(x)).eigenvectors[..., -1]
    along = (gradient * v1).sum(dim=-1, keepdim=True)
    across = (gradient - along * v1).norm(dim=-1)
    for i, coordinate in enumerate(x.T):
        table[f"{name}_x{i + 1}"] = coordinate
    table[f"{name}_angle"] = torch.rad2deg(torch.atan2(across, along[:, 0].abs()))
    table[f"{name}_distance"] = manifold.distance(x)
    table[f"{name}_top_eigenvalue"] = manifold.top_eigenvalue(x)
${flat ? SHARES : ""}`;
}

const SHARES = `    if name == "sam":
        shares = gradient.square() / gradient.square().sum(dim=-1, keepdim=True)
        for i, share in enumerate(shares.T):
            table[f"sam_share{i + 1}"] = share
`;
