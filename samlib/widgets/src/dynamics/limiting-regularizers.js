// The three notions of sharpness on Γ of the four-dimensional loss.

import { constants } from "../schema.js";
import { factor1, factor2 } from "./four-dimensional.js";

/** @typedef {"worst" | "ascent" | "average"} Notion */

/**
 * Where on Γ each notion's limiting regularizer is least.
 *
 * @type {Readonly<Record<Notion, readonly [number, number]>>}
 */
export const PREFERRED = /** @type {any} */ (constants.preferred);

/**
 * The limiting regularizers at a point of Γ (Definition 4.1): S^Max = λ₁/2; λ_M/2, which is where the band
 * S^Asc begins (it ends at λ₁/2); S^Avg = Tr/(2D). The eigenvalues are 2F₁ and 2F₂, in either order.
 *
 * @param {number} x1 @param {number} x2
 * @returns {Record<Notion, number>}
 */
export function limitingRegularizers(x1, x2) {
  const f1 = factor1(x1, x2);
  const f2 = factor2(x1, x2);
  return { worst: Math.max(f1, f2), ascent: Math.min(f1, f2), average: (f1 + f2) / 4 };
}

/**
 * What R^Asc/ρ² tends to as x′ → x on Γ from the direction (cos, sin) in (x₃, x₄): ½uᵀ∇²L u with the
 * direction u of the gradient there, which is that of (2F₁ cos, 2F₂ sin).
 *
 * @param {number} x1 @param {number} x2 @param {number} angle in degrees
 * @returns {{u: [number, number], value: number}} u in (x₃, x₄)
 */
export function approachFrom(x1, x2, angle) {
  const f1 = factor1(x1, x2);
  const f2 = factor2(x1, x2);
  const g3 = f1 * Math.cos((angle * Math.PI) / 180);
  const g4 = f2 * Math.sin((angle * Math.PI) / 180);
  const size = Math.hypot(g3, g4);
  const u3 = g3 / size;
  const u4 = g4 / size;
  return { u: [u3, u4], value: f1 * u3 * u3 + f2 * u4 * u4 };
}
