// What Python says once of the figures: the traits of each, and the constants that both sides need. schema.json is
// written by samlib/widgets/schema.py.

import schema from "./schema.json" with { type: "json" };

/**
 * The traits of a figure: all of them, those that are whole numbers, and what they are unless told otherwise.
 *
 * @param {string} figure the name of its Python class
 * @returns {{names: string[], whole: string[], defaults: Record<string, unknown>}}
 */
export const traitsOf = (figure) => schema.traits[/** @type {keyof typeof schema.traits} */ (figure)];

export const { constants } = schema;
