// The numbers behind the pictures of the figure "Explore", to take away.

import { tableOfColumns } from "../../shared/take-away/table.js";
import { NOTIONS } from "./drawing.js";

const UNITS =
  "rho; for the worst direction, the gradient's (ascent) and the average: value, by how much L rises within rho; error, that of the value " +
  "(for the worst direction, how much higher it may be); predicted, by the loss to second order";

const NAMES = /** @type {const} */ (["value", "error", "predicted"]);

/** @param {import("./view.js").View} view */
export function tableOf({ measured }) {
  const columns = NOTIONS.flatMap((notion) =>
    NAMES.map((name) => [`${notion}_${name}`, measured.map((radius) => radius[notion]?.[name] ?? NaN)]),
  );
  return tableOfColumns(UNITS, { rho: measured.map(({ rho }) => rho), ...Object.fromEntries(columns) });
}
