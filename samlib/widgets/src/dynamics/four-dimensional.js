// The loss of Figure 1, and what lies along its minimizers Γ.

/** @typedef {import("./landscapes.js").Landscape} Landscape */

/**
 * The loss of Figure 1: F₁ x₃² + F₂ x₄² with F₁ = x₁² + 6x₂² + 8, F₂ = 4(1−x₁)² + (1−x₂)² + 1.
 *
 * @returns {Landscape}
 */
export function fourDimensional() {
  return {
    name: "four-dimensional",
    dim: 4,
    value(x) {
      return factor1(x[0], x[1]) * x[2] * x[2] + factor2(x[0], x[1]) * x[3] * x[3];
    },
    gradient(x, at, out) {
      const x1 = x[at];
      const x2 = x[at + 1];
      const x3 = x[at + 2];
      const x4 = x[at + 3];
      const d1 = 1 - x1;
      const d2 = 1 - x2;
      const f1 = x1 * x1 + 6 * x2 * x2 + 8;
      const f2 = 4 * d1 * d1 + d2 * d2 + 1;
      out[0] = 2 * x1 * x3 * x3 - 8 * d1 * x4 * x4;
      out[1] = 12 * x2 * x3 * x3 - 2 * d2 * x4 * x4;
      out[2] = 2 * f1 * x3;
      out[3] = 2 * f2 * x4;
    },
    hessian(x, out) {
      const [x1, x2, x3, x4] = x;
      const d1 = 1 - x1;
      const d2 = 1 - x2;
      out.fill(0);
      out[0] = 2 * x3 * x3 + 8 * x4 * x4;
      out[5] = 12 * x3 * x3 + 2 * x4 * x4;
      out[10] = 2 * factor1(x1, x2);
      out[15] = 2 * factor2(x1, x2);
      out[2] = out[8] = 4 * x1 * x3;
      out[3] = out[12] = -16 * d1 * x4;
      out[6] = out[9] = 24 * x2 * x3;
      out[7] = out[13] = -4 * d2 * x4;
    },
    componentGradient(x, at, out, k) {
      const x1 = x[at];
      const x2 = x[at + 1];
      const x3 = x[at + 2];
      const x4 = x[at + 3];
      if (k === 0) {
        out[0] = 4 * x1 * x3 * x3;
        out[1] = 24 * x2 * x3 * x3;
        out[2] = 4 * factor1(x1, x2) * x3;
        out[3] = 0;
      } else {
        out[0] = -16 * (1 - x1) * x4 * x4;
        out[1] = -4 * (1 - x2) * x4 * x4;
        out[2] = 0;
        out[3] = 4 * factor2(x1, x2) * x4;
      }
    },
    hessianVectorProduct(x, at, v, out) {
      const x1 = x[at];
      const x2 = x[at + 1];
      const x3 = x[at + 2];
      const x4 = x[at + 3];
      const h02 = 4 * x1 * x3;
      const h12 = 24 * x2 * x3;
      const h03 = -16 * (1 - x1) * x4;
      const h13 = -4 * (1 - x2) * x4;
      out[0] = (2 * x3 * x3 + 8 * x4 * x4) * v[0] + h02 * v[2] + h03 * v[3];
      out[1] = (12 * x3 * x3 + 2 * x4 * x4) * v[1] + h12 * v[2] + h13 * v[3];
      out[2] = h02 * v[0] + h12 * v[1] + 2 * factor1(x1, x2) * v[2];
      out[3] = h03 * v[0] + h13 * v[1] + 2 * factor2(x1, x2) * v[3];
    },
  };
}

/** F₁ of the four-dimensional loss. @param {number} x1 @param {number} x2 */
export const factor1 = (x1, x2) => x1 * x1 + 6 * x2 * x2 + 8;

/** F₂ of the four-dimensional loss. @param {number} x1 @param {number} x2 */
export const factor2 = (x1, x2) => 4 * (1 - x1) * (1 - x1) + (1 - x2) * (1 - x2) + 1;

/**
 * The curvatures at the point of Γ nearest to x: the non-zero eigenvalues are 2F₁ and 2F₂, in either order.
 *
 * @type {Readonly<Record<"top_eigenvalue" | "smallest_nonzero_eigenvalue" | "trace", (x1: number, x2: number) => number>>}
 */
export const CURVATURES = {
  top_eigenvalue: (x1, x2) => 2 * Math.max(factor1(x1, x2), factor2(x1, x2)),
  smallest_nonzero_eigenvalue: (x1, x2) => 2 * Math.min(factor1(x1, x2), factor2(x1, x2)),
  trace: (x1, x2) => 2 * (factor1(x1, x2) + factor2(x1, x2)),
};
