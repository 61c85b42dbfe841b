// The lines of Python that compute what the figure "RandomDirections" shows.

/** @param {import("./figure.js").State} state */
export const pythonOf = ({ dimension }) => `
eigenvalues = [1 / i for i in range(1, ${dimension} + 1)]
loss = samlib.landscapes.Quadratic(eigenvalues)
u = figure.directions()  # unit vectors, one a row
bottom = torch.zeros(loss.dim, dtype=torch.float64)
curvature = (u * loss.hessian_vector_product(bottom, u)).sum(dim=-1)
table = {
    "direction": range(1, len(u) + 1),
    "share": curvature / max(eigenvalues),
    "average": sum(eigenvalues) / len(eigenvalues),
}
`;
