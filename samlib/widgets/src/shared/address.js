// The figure's state in the address of the page: putting it there, and following a link.

import { decode, encode } from "./permalink.js";

/**
 * @param {string | undefined} linkId the figure's name in permalinks, if it has them
 * @param {string | undefined} alias another name of it, by which a text may link to it
 * @param {HTMLElement} root of the figure @param {HTMLElement} note where messages go
 * @param {{write: () => import("./permalink.js").LinkState,
 *   follow: (entries: Map<string, string>, messages: string[]) => void}} figure
 */
export function createAddress(linkId, alias, root, note, { write, follow }) {
  function copy() {
    if (!linkId) return;
    const fragment = encode(linkId, write());
    try {
      history.replaceState(null, "", fragment);
    } catch {
      location.hash = fragment; // a page opened from a file may not replace its address
    }
    note.textContent = "The link to this state is in the address bar.";
    navigator.clipboard?.writeText(location.href).then(
      () => (note.textContent = "The link to this state is copied, and in the address bar."),
      () => {},
    );
  }

  function go() {
    const entries = (linkId && decode(linkId, location.hash)) ?? (alias && decode(alias, location.hash));
    if (!entries) return;
    /** @type {string[]} */
    const messages = [];
    follow(entries, messages);
    note.textContent = messages.length ? `In the link, ${messages.join("; ")}.` : "";
    // A link may stand below the figure, whose last controls are still in view.
    const { top, bottom, height } = root.getBoundingClientRect();
    if (top > innerHeight || bottom < Math.min(height, innerHeight) / 2) root.scrollIntoView();
  }

  return {
    /** Put the state into the address, and copy that. */
    copy,
    /** Follow links, this page's first. @returns {() => void} stops it */
    listen() {
      if (!linkId) return () => {};
      addEventListener("hashchange", go);
      go();
      return () => removeEventListener("hashchange", go);
    },
  };
}
