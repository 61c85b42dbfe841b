// What Python says once of the figures: the traits of each, and the constants that both sides need. schema.json is
// written by samlib/widgets/schema.py.

import schema from "./schema.json" with { type: "json" };

/**
 * The traits of a figure: all of them, and those that are whole numbers.
 *
 * @param {string} figure the name of its Python class
 * @returns {{names: string[], whole: string[]}}
 */
export const traitsOf = (figure) => schema.traits[/** @type {keyof typeof schema.traits} */ (figure)];

export const { constants } = schema;
