// The plane of the two largest eigenvalues along a flow of λ₁, and where in it SAM's gradient is to point on average.
//
// The plane has the orthonormal basis in which the mixture Q is diagonal, its larger entry first; without a tie, that is
// v₁ and v₂. A direction u = c₁e₁ + c₂e₂ + … becomes the point (c₁² − c₂², 2c₁c₂), of length one if u lies in the plane:
// uuᵀ = ½(1 + s₁σ_z + s₂σ_x). Its mean is to be (Q₁₁ − Q₂₂, 0).

import { FLOW_INTERVALS } from "./flow.js";
import { eigenOf } from "./ties.js";
import { combined, dot } from "./vectors.js";

/** @typedef {ReturnType<typeof createPlanes>} Planes */

/** @param {number} horizon of the flow that has `witness` as its witness */
export function createPlanes(horizon) {
  /** @type {{number: number, basis: Float64Array[], mean: number}[]} */
  const nodes = [];

  /** The nodes around a time, and how far it is from the first to the second: no way, where other eigenvalues are tied there. @param {number} tau */
  function around(tau) {
    const place = (tau / horizon) * FLOW_INTERVALS;
    const k = Math.min(Math.floor(place + 1e-9), FLOW_INTERVALS);
    const [here, next] = [nodes[k], nodes[k + 1]];
    return { here, next, part: here && next?.number === here.number ? place - k : 0 };
  }

  return {
    /** @type {import("./flow.js").Witness} */
    witness(n, gamma, number, mixture) {
      const { values, vectors } = eigenOf(mixture, number);
      const tied = Array.from({ length: Math.max(number, 2) }, (_, a) => gamma.eigenvector(a));
      const basis = number === 1 ? tied : [0, 1].map((c) => combined(tied, vectors[c]));
      const before = nodes[n - 1];
      for (const [c, e] of basis.entries()) {
        const sign = before?.number === number ? dot(e, before.basis[c]) : largest(e);
        if (sign < 0) e.forEach((v, i) => (e[i] = -v));
      }
      nodes[n] = { number, basis, mean: number === 1 ? 1 : values[0] - values[1] };
    },
    /** How many eigenvalues are tied at a time; 0 where the flow has ended. @param {number} tau */
    numberAt: (tau) => around(tau).here?.number ?? 0,
    /** Q₁₁ − Q₂₂ at a time. @param {number} tau */
    meanAt(tau) {
      const { here, next, part } = around(tau);
      return here ? here.mean + (part && part * (next.mean - here.mean)) : NaN;
    },
    /** The point (s₁, s₂) of a gradient. @param {number} tau @param {Float64Array} g */
    point(tau, g) {
      const { here, next, part } = around(tau);
      if (!here) return [NaN, NaN];
      const size = Math.hypot(...g);
      const [c1, c2] = here.basis.map((e, c) => {
        const along = dot(g, e);
        return (along + (part && part * (dot(g, next.basis[c]) - along))) / size;
      });
      return [c1 * c1 - c2 * c2, 2 * c1 * c2];
    },
  };
}

/** The entry that is largest in size. @param {Float64Array} v */
const largest = (v) => v.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
