// The hyperbolic tangent.

/** tanh as samlib writes it; Math.exp is the quickest way to e to the power of … @param {number} z */
export const tanh = (z) => 2 / (1 + Math.exp(-2 * z)) - 1;
