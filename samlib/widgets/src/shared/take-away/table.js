// The numbers behind a picture as a table, and as a text that spreadsheets, NumPy and pandas read.

/**
 * @typedef {object} Table
 * @property {string[]} columns their names, which a row of the text holds
 * @property {ArrayLike<number>[]} rows
 * @property {string} units what is in the columns, in one line
 */

/** All digits that a number of 64 bits has, and no more: reading gives the same number. @param {number} v */
function written(v) {
  if (Number.isFinite(v)) return Object.is(v, -0) ? "-0.0" : String(v);
  return Number.isNaN(v) ? "nan" : v < 0 ? "-inf" : "inf";
}

/**
 * A first line that tells what the numbers are, behind #; then the names; then the numbers.
 *
 * @param {string} what the figure and its settings @param {Table} table
 */
export function csvOf(what, { columns, rows, units }) {
  const told = `# ${what}. ${units}`.replace(/\s+/g, " ");
  const lines = rows.map((row) => Array.from(row, written).join(","));
  return `${[told, columns.join(","), ...lines].join("\n")}\n`;
}

/**
 * A table of named columns.
 *
 * @param {string} units @param {Record<string, ArrayLike<number>>} columns all of one length @returns {Table}
 */
export function tableOfColumns(units, columns) {
  const all = Object.values(columns);
  const rows = Array.from({ length: all[0].length }, (_, k) => all.map((column) => column[k]));
  return { columns: Object.keys(columns), rows, units };
}

/**
 * The coordinates of a run at some steps: NAME_x1, NAME_x2, …
 *
 * @param {string} name @param {ArrayLike<number>} x all iterates, one after the other @param {number} dim
 * @param {ArrayLike<number>} steps @param {string[]} [coordinates]
 */
export const coordinatesOf = (name, x, dim, steps, coordinates) =>
  Object.fromEntries(
    Array.from({ length: dim }, (_, i) => [
      `${name}_${coordinates?.[i] ?? `x${i + 1}`}`,
      Array.from(steps, (t) => x[t * dim + i]),
    ]),
  );

/** A function of the coordinates of a run at some steps. @param {ArrayLike<number>} x @param {number} dim @param {ArrayLike<number>} steps @param {(...x: number[]) => number} f */
export const along = (x, dim, steps, f) =>
  Array.from(steps, (t) => f(...Array.from({ length: dim }, (_, i) => x[t * dim + i])));

/** The steps in order, each once, with the place where it stood. @param {ArrayLike<number>} samples @returns {[step: number, at: number][]} */
export const inOrder = (samples) =>
  [...new Map(Array.from(samples, (t, at) => /** @type {const} */ ([t, at])))].sort(([a], [b]) => a - b);
