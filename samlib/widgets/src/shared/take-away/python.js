// A figure in the words of Python.

import { traitsOf } from "../../schema.js";

/** A value as Python writes it. @param {unknown} value @returns {string} */
export function literal(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `(${value.map(literal).join(", ")}${value.length === 1 ? "," : ""})`;
  if (typeof value === "string") return JSON.stringify(value);
  return String(value).replace(/^(-?)Infinity$/, '$1float("inf")');
}

/** A number that is one with a point in Python. @param {number} value */
export const real = (value) => (Number.isInteger(value) && Math.abs(value) < 1e16 ? `${value}.0` : literal(value));

/** @param {ArrayLike<number>} values */
export const reals = (values) => `[${Array.from(values, real).join(", ")}]`;

/** @param {ArrayLike<number>} values a vector in the arithmetic of the page */
export const vector = (values) => `torch.tensor(${reals(values)}, dtype=torch.float64)`;

/** Where the first is given, the second must be: its default depends on it. */
const TOGETHER = [["steps", "frame"], ["eigenvalues", "start"]]; // prettier-ignore

/**
 * The call that makes a figure: of its traits, those that are not what they are anyway.
 *
 * @param {string} figure @param {Record<string, unknown>} state @param {Record<string, Record<string, unknown>>} presets
 */
export function callOf(figure, state, presets) {
  const { defaults } = traitsOf(figure);
  // Some figures have a trait whose value picks the defaults of the others.
  const [choice, name] = Object.entries(state).find(([, v]) => typeof v === "string" && Object.hasOwn(presets ?? {}, v)) ?? [];
  const usual = { ...defaults, ...(choice && presets[String(name)]), ...(choice && { [choice]: defaults[choice] }) };
  const differs = (/** @type {string} */ trait) => JSON.stringify(state[trait]) !== JSON.stringify(usual[trait]);
  const given = new Set(Object.keys(state).filter(differs));
  for (const [first, second] of TOGETHER) if (given.has(first) && second in state) given.add(second);
  const all = Object.entries(state).filter(([trait]) => given.has(trait));
  return `samlib.widgets.${figure}(${all.map(([trait, value]) => `${trait}=${literal(value)}`).join(", ")})`;
}

/**
 * A script: the figure, the numbers that it shows as a table, and the figure itself to be seen in a notebook.
 *
 * @param {string} call @param {string} [lines] that make a dictionary `table`
 */
export const scriptOf = (call, lines = "") =>
  lines
    ? `import pandas as pd\nimport torch\n\nimport samlib\n\nfigure = ${call}\n\n# The numbers behind it\n${lines.trim()}\ntable = pd.DataFrame(table)\n\nfigure\n`
    : `import samlib\n\nfigure = ${call}\nfigure\n`;
