// Where full-batch SAM and gradient descent cease to be stable.

import { edgeOfStability } from "./sweep.js";

/** @param {import("./sweep.js").Sweep} sweep */
export const edgesOf = (sweep) => ({
  descent: edgeOfStability(sweep.lr.sam, 0, 1),
  /** @param {number} rho its number @param {number} step its number */
  sam: (rho, step) => edgeOfStability(sweep.lr.sam, sweep.rhos[rho], sweep.at("gradient_norm", "sam", rho, step)),
});
