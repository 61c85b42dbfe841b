// Where an SVG's paths are put, one over the other.

import { svg } from "../dom.js";

/** @typedef {Record<string, string | number | undefined>} Look attributes of a path */
/** @typedef {ReturnType<typeof createSheet>} Sheet */

export function createSheet() {
  const group = svg("g");
  /** @type {SVGGElement | null} what one clip cuts off */
  let layer = null;
  let clipped = "";
  /** @type {{d: string, transform: unknown, element: Element} | null} a filled shape whose edge may follow */
  let filled = null;

  /** @param {string} clip the id of what cuts it off, or nothing @param {Element} element */
  function put(clip, element) {
    if (!layer || clip !== clipped) {
      layer = svg("g", { "clip-path": clip ? `url(#${clip})` : undefined });
      group.append(layer);
    }
    clipped = clip;
    filled = null;
    layer.append(element);
  }

  return {
    group,
    put,
    isEmpty: () => layer === null,
    clear() {
      group.replaceChildren();
      layer = filled = null;
    },
    /** @param {string} clip @param {string} d @param {Look} look */
    putPath(clip, d, look) {
      if (!d) return;
      // A shape that is filled, and then drawn around, is one element.
      if (look.stroke && clip === clipped && filled?.d === d && filled.transform === look.transform) {
        for (const [name, value] of Object.entries(look)) {
          if (value !== undefined) filled.element.setAttribute(name, String(value));
        }
        filled = null;
        return;
      }
      const element = svg("path", { d, ...look, fill: look.fill ?? "none" });
      put(clip, element);
      if (look.fill) filled = { d, transform: look.transform, element };
    },
  };
}
