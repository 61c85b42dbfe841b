// The lines of Python that compute what the figure "Rescaling" shows.

import { constants } from "../../schema.js";
import { real, reals } from "../../shared/take-away/python.js";
import { B2, DIM, W2 } from "./network.js";
import { scales } from "./table.js";

const { reach, places } = constants.rescaling;

/** @param {import("./world.js").State} state */
export const pythonOf = ({ alpha }) => `
loss = figure.objective  # the training loss as a function of the weights
trained = samlib.widgets.Rescaling(alpha=1).weights()
w1, w2, b2 = trained.split([${W2}, ${B2 - W2}, ${DIM - B2}])  # b₁ is scaled with W₁
reach = ${real(reach)}
distances = reach * torch.linspace(-1, 1, ${places}, dtype=torch.float64) ** 3
table = []
for alpha in ${reals(scales(alpha))}:
    x = torch.cat([alpha * w1, w2 / alpha, b2])
    top = samlib.top_eigenpairs(loss, x, k=1, rtol=1e-12, progress=False)
    v = top.vectors[:, 0]
    if loss.value(x - reach * v) > loss.value(x + reach * v):
        v = -v  # the loss is higher ahead
    here = {"top_eigenvalue": float(top.values[0]), "trace": float(loss.hessian(x).trace())}
    profile = loss.value(x + distances[:, None] * v)
    table += [
        {"alpha": alpha, "distance": distance, "loss": value, **here}
        for distance, value in zip(distances.tolist(), profile.tolist())
    ]
`;
