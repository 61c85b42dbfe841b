// The numbers behind the picture of the figure "RandomDirections".

import { tableOfColumns } from "../../shared/take-away/table.js";

const UNITS = "direction, its number; share, the rise of L along it over that along v1; average, of all directions";

/** @param {import("./figure.js").View["world"]} world */
export const tableOf = ({ shares, average }) =>
  tableOfColumns(UNITS, { direction: shares.map((_, k) => k + 1), share: shares, average: shares.map(() => average) });
