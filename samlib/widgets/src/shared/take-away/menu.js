// A button that opens a small menu: by mouse, by touch or by keyboard.

import { button } from "../buttons.js";
import { freshId, html } from "../dom.js";
import { answerKeys } from "../keyboard.js";

/** @typedef {{name: string, text: string, onPress: () => void}} Entry its name is the attribute data-control */

/** Where a key leads to in a menu. @type {Record<string, (at: number, many: number) => number>} */
const MOVES = {
  ArrowDown: (at, many) => (at + 1) % many,
  ArrowUp: (at, many) => (at + many - 1) % many,
  Home: () => 0,
  End: (_, many) => many - 1,
};

/**
 * @param {{text: string, label: string, name: string, entries: Entry[], within: HTMLElement}} options
 *   the menu opens `within` that element and does not stick out at its sides
 */
export function createMenu({ text, label, name, entries, within }) {
  const id = freshId("samlib-menu");
  const toggle = button({ label, text, onPress: () => (list.hidden ? open(0) : close()) });
  const items = entries.map((entry) =>
    html("button", {
      type: "button", role: "menuitem", tabindex: -1, "data-control": entry.name,
      onclick: () => {
        close();
        entry.onPress();
      },
    }, entry.text),
  ); // prettier-ignore
  const list = html("div", { id, class: "samlib-menu", role: "menu", "aria-label": label, hidden: true }, ...items);
  const el = html("div", { class: "samlib-share" }, toggle, list);
  for (const [attribute, value] of Object.entries({ "aria-haspopup": "menu", "aria-controls": id, "aria-expanded": "false" })) {
    toggle.setAttribute(attribute, value);
  }
  toggle.dataset.control = name;

  /** @param {number} first the entry that has the focus then */
  function open(first) {
    list.hidden = false;
    toggle.setAttribute("aria-expanded", "true");
    place();
    items[first].focus();
    addEventListener("pointerdown", pressed, true);
  }

  /** Below the button, its right side below that of the button, where there is room on the left. */
  function place() {
    const { left, width } = el.getBoundingClientRect();
    const most = within.getBoundingClientRect().left + 8 - left;
    list.style.left = `${Math.max(width - list.offsetWidth, most)}px`;
  }

  function close() {
    if (list.hidden) return;
    if (list.contains(list.ownerDocument.activeElement)) toggle.focus();
    list.hidden = true;
    toggle.setAttribute("aria-expanded", "false");
    removeEventListener("pointerdown", pressed, true);
  }

  /** Somewhere else. @param {PointerEvent} event */
  function pressed(event) {
    if (!(event.target instanceof Node && el.contains(event.target))) close();
  }

  answerKeys(toggle, ({ key }) => {
    if (key === "Escape" && !list.hidden) close();
    else if (key === "ArrowDown" || key === "ArrowUp") open(key === "ArrowDown" ? 0 : items.length - 1);
    else return false;
    return true;
  });
  items.forEach((item, at) =>
    answerKeys(item, ({ key }) => {
      if (key === "Escape") close();
      else if (MOVES[key]) items[MOVES[key](at, items.length)].focus();
      else {
        if (key === "Tab") close(); // and on from the button
        return false;
      }
      return true;
    }),
  );
  return { el, dispose: close };
}
