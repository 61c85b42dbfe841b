// Links to states of the figure "Alignment", whose lists have a length that depends on the loss.

import { quoted, readNumber, readNumbers } from "../../shared/permalink.js";

/** @typedef {import("./world.js").State} State */
/** @typedef {import("../../shared/frame.js").Frame<State>} Frame */

/** @param {Frame} frame */
export const linksOfAlignment = (frame) => ({
  writeLink,
  /** @param {Map<string, string>} entries @param {string[]} messages */
  readLink: (entries, messages) => readLink(frame, entries, messages),
});

/** @param {State} state */
function writeLink({ landscape, eigenvalues, start, rho, lr, steps, frame: step, zoom, invariant }) {
  /** @type {import("../../shared/permalink.js").LinkState} */
  const entries = { landscape, start, rho, lr, steps, frame: step };
  if (landscape === "quadratic") entries.eigenvalues = eigenvalues;
  if (zoom) entries.zoom = 1;
  if (invariant) entries.invariant = 1;
  return entries;
}

/** @param {Frame} frame @param {Map<string, string>} entries @param {string[]} messages @returns {State} */
function readLink(frame, entries, messages) {
  const { limits } = frame.config;
  const landscape = entries.get("landscape");
  const known = limits.landscape.includes(landscape);
  const next = frame.preset(known ? String(landscape) : frame.initial.landscape);
  if (!known && landscape !== undefined) {
    messages.push(`landscape = “${quoted(landscape)}” is unknown and was ignored`);
  }
  readLists(frame, next, entries, messages);
  for (const [name, label] of /** @type {const} */ ([["rho", "ρ"], ["lr", "η"], ["steps", "steps"]])) {
    const given = entries.get(name);
    if (given === undefined) continue;
    const value = readNumber(label, given, limits[name], messages);
    if (value !== undefined) next[name] = name === "steps" ? Math.round(value) : value;
  } // prettier-ignore
  const shown = entries.get("frame");
  next.frame = Math.min(next.frame, next.steps);
  if (shown !== undefined) {
    next.frame = Math.round(readNumber("step", shown, [0, next.steps], messages) ?? next.frame);
  }
  next.zoom = entries.get("zoom") === "1";
  next.invariant = entries.get("invariant") === "1";
  return next;
}

/** The spectrum and the start. @param {Frame} frame @param {State} next @param {Map<string, string>} entries @param {string[]} messages */
function readLists({ config }, next, entries, messages) {
  const { limits, sliders } = config;
  const flat = next.landscape === "quadratic";
  const text = entries.get("eigenvalues");
  if (flat && text !== undefined) {
    const spectrum = readNumbers("λ", text, limits.eigenvalues, sliders.quadratic.dimension, messages);
    if (spectrum) {
      next.eigenvalues = spectrum;
      next.start = spectrum.map((_, i) => next.start[Math.min(i, next.start.length - 1)]);
    }
  }
  const dim = flat ? next.eigenvalues.length : 4;
  const given = entries.get("start");
  if (given === undefined) return;
  next.start = readNumbers("start", given, limits.start, [dim, dim], messages) ?? next.start;
}
