// The numbers behind the pictures of the figure "ThreeNotions".

import { tableOfColumns } from "../../shared/take-away/table.js";
import { AROUND, KINDS } from "./notions.js";

const UNITS =
  "angle of u in degrees; rise = L(x + ρu) − L(x); rise_to_second_order; then the same in every row: the sharpnesses R^Max, R^Asc " +
  "and R^Avg, and what the loss to second order predicts";

const NAMES = { worst: "R_max", ascent: "R_asc", average: "R_avg" };

/** @param {import("./figure.js").View} view */
export function tableOf({ world: { at } }) {
  const all = (/** @type {number} */ value) => Array.from({ length: AROUND }, () => value);
  return tableOfColumns(UNITS, {
    angle: Array.from({ length: AROUND }, (_, i) => (360 * i) / AROUND),
    rise: at.profile,
    rise_to_second_order: at.model,
    ...Object.fromEntries(KINDS.map((kind) => [NAMES[kind], all(at[kind].sharpness)])),
    ...Object.fromEntries(KINDS.map((kind) => [`${NAMES[kind]}_to_second_order`, all(at[kind].predicted)])),
  });
}
