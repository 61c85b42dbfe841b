// What a figure shows on request: a button for each further panel under "More", and the panels that are open.

import { button } from "./buttons.js";
import { freshId, html } from "./dom.js";
import { quoted } from "./permalink.js";

/**
 * @typedef {object} Panel
 * @property {string} name as the trait `panels` has it
 * @property {string} title what its button says
 * @property {HTMLElement[]} parts
 * @property {() => boolean} [applies] is there such a panel in the state shown? Without it, always
 */

/** The panel of all further controls. */
export const SETTINGS = "settings";

/**
 * @param {Panel[]} panels @param {(names: string[]) => void} onChange takes the names of all that are open now
 */
export function createPanels(panels, onChange) {
  /** @type {readonly string[]} */
  let open = [];
  const toggle = (/** @type {string} */ name) => {
    open = panels.map((panel) => panel.name).filter((other) => open.includes(other) !== (other === name));
    onChange([...open]);
  };
  const made = panels.map(({ name, title, parts, applies = () => true }) => {
    const id = freshId("samlib-panel");
    const el = html("div", { id, class: "samlib-opened", "data-panel": name }, ...parts);
    const switched = button({
      label: title, text: title, className: "samlib-small samlib-more-button", onPress: () => toggle(name),
    }); // prettier-ignore
    switched.setAttribute("aria-controls", id);
    switched.dataset.opens = name;
    return { name, el, switched, applies };
  });
  const place = html("div", { class: "samlib-panels" }, ...made.map(({ el }) => el));
  const row = html("div", { class: "samlib-more", role: "group", "aria-label": "More" },
    html("span", { "aria-hidden": "true" }, "More:"), ...made.map(({ switched }) => switched)); // prettier-ignore
  return {
    row,
    el: place,
    /** @param {readonly string[]} names */
    show(names) {
      open = names;
      for (const { name, el, switched, applies } of made) {
        const there = applies();
        const shown = there && names.includes(name);
        el.hidden = !shown;
        switched.hidden = !there;
        switched.setAttribute("aria-expanded", String(shown));
      }
      place.hidden = made.every(({ el }) => el.hidden);
      row.hidden = made.every(({ switched }) => switched.hidden);
    },
  };
} // prettier-ignore

/**
 * The panels that a link opens; those that there are not are left out, with a message.
 *
 * @param {string} text names separated by commas @param {readonly string[]} names of the figure's panels
 * @param {string[]} messages
 */
export function readPanels(text, names, messages) {
  const wanted = text.split(",").filter(Boolean);
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length) messages.push(`panels = “${quoted(unknown.join(","))}” is unknown and was ignored`);
  return names.filter((name) => wanted.includes(name));
}
