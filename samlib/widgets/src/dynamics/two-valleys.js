// The loss of the two valleys, and the limiting flows on their floor.

import { tanh } from "./tanh.js";

/** @typedef {import("./landscapes.js").Landscape} Landscape */

/**
 * L(x, y₁, y₂) = ½(λ₁(x) y₁² + λ₂(x) y₂²), λ₁ = 3 + ½ tanh x, λ₂ = 1 − 0.8 tanh x.
 *
 * @returns {Landscape}
 */
export function twoValleys() {
  return {
    name: "two-valleys",
    dim: 3,
    terms: 2,
    value(x) {
      const t = tanh(x[0]);
      return ((3 + 0.5 * t) * x[1] * x[1] + (1 - 0.8 * t) * x[2] * x[2]) / 2;
    },
    gradient(x, at, out) {
      const t = tanh(x[at]);
      const slope = 1 - t * t;
      const y1 = x[at + 1];
      const y2 = x[at + 2];
      out[0] = slope * (0.25 * y1 * y1 - 0.4 * y2 * y2);
      out[1] = (3 + 0.5 * t) * y1;
      out[2] = (1 - 0.8 * t) * y2;
    },
    hessian(x, out) {
      const t = tanh(x[0]);
      const slope = 1 - t * t;
      const y1 = x[1];
      const y2 = x[2];
      out[0] = -2 * t * slope * (0.25 * y1 * y1 - 0.4 * y2 * y2);
      out[1] = out[3] = 0.5 * slope * y1;
      out[2] = out[6] = -0.8 * slope * y2;
      out[4] = 3 + 0.5 * t;
      out[5] = out[7] = 0;
      out[8] = 1 - 0.8 * t;
    },
    componentGradient(x, at, out, k) {
      const t = tanh(x[at]);
      const slope = 1 - t * t;
      const y1 = x[at + 1];
      const y2 = x[at + 2];
      out[0] = slope * (k === 0 ? 0.5 * y1 * y1 : -0.8 * y2 * y2);
      out[1] = k === 0 ? 2 * (3 + 0.5 * t) * y1 : 0;
      out[2] = k === 0 ? 0 : 2 * (1 - 0.8 * t) * y2;
    },
    weightedGradient(x, at, out, w, k) {
      const t = tanh(x[at]);
      const slope = 1 - t * t;
      const y1 = x[at + 1];
      const y2 = x[at + 2];
      out[0] = slope * (0.25 * w[k] * y1 * y1 - 0.4 * w[k + 1] * y2 * y2);
      out[1] = w[k] * (3 + 0.5 * t) * y1;
      out[2] = w[k + 1] * (1 - 0.8 * t) * y2;
    },
  };
}

/** λ₁ on the floor of the two valleys, and its slope for valleyFlow. @param {number} x */
export const valleyTop = (x) => 3 + 0.5 * tanh(x);

/** Tr ∇²L on the floor of the two valleys. @param {number} x */
export const valleyTrace = (x) => 3 + 0.5 * tanh(x) + (1 - 0.8 * tanh(x));

/** λ₁ and the trace are a constant plus so many tanh x. */
export const VALLEY_SLOPES = { top_eigenvalue: 0.5, trace: -0.3 };

/**
 * Where a limiting flow on the floor of the two valleys is at time τ: dX/dτ = −½ S′(X), S′ = slope/cosh² X.
 *
 * Multiplied by cosh² X it integrates to X/2 + sinh(2X)/4 = that at the start − slope τ/2. Newton's method
 * solves for X; from beyond the solution it comes down to it, because the left side is convex there.
 *
 * @param {number} start @param {number} slope @param {number} tau
 */
export function valleyFlow(start, slope, tau) {
  const goal = start / 2 + Math.sinh(2 * start) / 4 - (slope * tau) / 2;
  let x = Math.asinh(4 * goal) / 2;
  if (!Number.isFinite(x)) return x;
  for (let i = 0; i < 50; i++) {
    const c = Math.cosh(x);
    const next = x - (x / 2 + Math.sinh(2 * x) / 4 - goal) / (c * c);
    if (!(Math.abs(next - x) > 1e-15 * Math.abs(x))) return next;
    x = next;
  }
  return x;
}
