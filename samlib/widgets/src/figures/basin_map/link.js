// Links to a state: traits as everywhere, and beside them the name of a preset, and a formula.

import { linksOf, quoted } from "../../shared/permalink.js";

/** @typedef {import("./figure.js").State} State */

/** @param {import("./figure.js").Frame} frame */
export function linksOfMap(frame) {
  const { named, longest } = frame.config;
  const links = linksOf(/** @type {any} */ ({ ...frame, initial: withoutFormula(frame.initial), preset: (/** @type {string} */ loss) => withoutFormula(frame.preset(loss)) }), {
    presetBy: "loss",
    labels: { rho: "ρ", lr: "η" },
  }); // prettier-ignore
  return {
    /** @param {State} state @returns {import("../../shared/permalink.js").LinkState} */
    writeLink({ formula, ...others }) {
      return others.loss === "formula" ? { ...others, formula } : { ...others };
    },
    /** @param {Map<string, string>} given @param {string[]} messages @returns {State} */
    readLink(given, messages) {
      const entries = new Map(given);
      const preset = entries.get("preset");
      if (preset !== undefined && !Object.hasOwn(named, preset)) {
        messages.push(`preset = “${quoted(preset)}” is unknown and was ignored`);
      } else if (preset !== undefined) {
        for (const [name, value] of Object.entries(named[preset])) if (!entries.has(name)) entries.set(name, String(value));
      }
      const text = entries.get("formula");
      const fits = text !== undefined && text.trim() !== "" && text.length <= longest;
      if (text !== undefined && !fits) messages.push(`formula = “${quoted(text)}” was ignored`);
      return /** @type {State} */ ({ ...links.readLink(entries, messages), formula: fits ? text : frame.initial.formula });
    },
  };
}

/** @param {State} state */
const withoutFormula = ({ formula, ...others }) => others;
