// What the map of Γ can be coloured by.

import { constants } from "../../schema.js";

/** @typedef {import("../../dynamics/limiting-regularizers.js").Notion} Notion */
/** @typedef {"top_eigenvalue" | "smallest_nonzero_eigenvalue" | "trace"} Quantity */

/** @type {readonly Notion[]} */
export const NOTIONS = /** @type {any} */ (constants.notions);

/**
 * How a quantity is drawn. Labels of contours go along a ray from the notion's preferred point to `towards`.
 *
 * @type {Record<Quantity, {title: string, levels: number[], labelled: number[], towards: [number, number]}>}
 */
const LOOKS = {
  top_eigenvalue: {
    title: "Γ, coloured by λ₁",
    levels: [16.5, 17, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36],
    labelled: [18, 20, 24, 28, 32],
    towards: [-0.15, 1.25],
  },
  smallest_nonzero_eigenvalue: {
    title: "Γ, coloured by λ_M",
    levels: [2.25, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20],
    labelled: [4, 8, 14],
    towards: [-0.5, 0.85],
  },
  trace: {
    title: "Γ, coloured by the trace of ∇²L",
    levels: [21.5, 22, 23, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42],
    labelled: [22, 24, 28, 32, 36],
    towards: [0.4, 1.25],
  },
};

/**
 * A quantity is `times` the limiting regularizer of its notion.
 *
 * @typedef {{notion: Notion, times: number, symbol: string} & typeof LOOKS[Quantity]} Description
 */

/** @type {Record<Quantity, Description>} */
export const QUANTITIES = /** @type {any} */ (
  Object.fromEntries(
    Object.entries(constants.quantities).map(([name, what]) => [name, { ...what, ...LOOKS[/** @type {Quantity} */ (name)] }]),
  )
);
