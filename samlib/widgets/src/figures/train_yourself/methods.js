// What the methods are called, and how each is drawn.

import { constants } from "../../schema.js";
import { DASHES, colourOf } from "../../shared/marks.js";

/** @typedef {"gradient_descent" | "sgd" | "sam" | "m_sam" | "mini_batch" | "one_sam"} Method */

/** What a reader calls each method. */
export const METHODS = /** @type {Record<Method, string>} */ (constants.train_yourself.methods);

/** Those that have a radius ρ. */
export const PERTURBED = new Set(["sam", "m_sam", "mini_batch", "one_sam"]);

/** Those that take the rows in batches of a size that one can choose. */
export const IN_BATCHES = new Set(["sgd", "m_sam", "mini_batch"]);

/** Those that use all rows in every step; of them alone an edge of stability is known. */
export const FULL_BATCH = new Set(["gradient_descent", "sam"]);

/** @param {Method} method @param {import("../../shared/theme.js").Palette} colours */
export function methodColour(method, colours) {
  if (method === "sgd") return colours.faint;
  return colourOf(method === "m_sam" ? "mini_batch" : method, colours);
}

/** Gradient descent's line is not broken here: it oscillates, and dashes would hide that. @param {Method} method */
export function methodDashes(method) {
  if (method === "gradient_descent") return [];
  if (method === "sgd") return [2, 3];
  return method === "m_sam" ? [10, 3] : DASHES[method];
}

/** A method's name at the beginning of a sentence. @param {Method} method */
export const capital = (method) => METHODS[method][0].toUpperCase() + METHODS[method].slice(1);

/**
 * The λ at which a step of a full-batch method ceases to be stable: ηλ(1 + ρλ/‖g‖) = 2, which is λ = 2/η for ρ = 0.
 * NaN for the others.
 *
 * @param {Method} method @param {{lr: number, rho: number}} settings @param {number} norm ‖∇L‖
 */
export function edgeOf(method, { lr, rho }, norm) {
  if (!FULL_BATCH.has(method)) return NaN;
  const reach = method === "sam" ? rho / norm : 0;
  return 4 / (lr * (1 + Math.sqrt(1 + (8 * reach) / lr)));
}
