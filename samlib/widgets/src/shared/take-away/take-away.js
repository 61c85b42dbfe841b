// What a reader can take along from a figure: a link, its picture, its numbers, the Python that makes it, and the code
// that shows it on another page.

import { encode } from "../permalink.js";
import { embedCode } from "./embed.js";
import { createMenu } from "./menu.js";
import { pngOf, svgOf } from "./picture.js";
import { callOf, scriptOf } from "./python.js";
import { copy, save } from "./save.js";
import { csvOf } from "./table.js";

const BOOK = "How SAM minimizes sharpness";

/**
 * What a figure adds to what its frame knows.
 *
 * @typedef {object} Offers
 * @property {() => void} draw
 * @property {() => string} describe
 * @property {(state: any) => import("../permalink.js").LinkState} writeLink
 * @property {() => import("./table.js").Table} [table] the numbers behind the picture
 * @property {() => string | {call: string, lines: string}} [python] lines that compute them as a dictionary `table`; where the
 *   figure is not made by a call of its own name, that call, too
 */

/**
 * @typedef {object} Context
 * @property {string} figure the name of its Python class
 * @property {HTMLElement} el its place on the page
 * @property {HTMLElement} root
 * @property {HTMLElement} note where messages go
 * @property {string} [linkId] its name in permalinks, if it has them
 * @property {any} config
 * @property {Record<string, any>} state
 * @property {() => void} copyLink
 */

/** @param {Context} context @param {Offers} offers */
export function createTakeAway(context, offers) {
  const { figure, el, root, note, linkId, copyLink } = context;
  const file = figure.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
  const say = (/** @type {string} */ text) => void (note.textContent = text);

  /** @param {string} what @param {string} ending @param {() => Promise<Blob> | Blob} make */
  const saving = (what, ending, make) => async () => {
    try {
      save(`${file}.${ending}`, await make());
      say(`${what} is saved as ${file}.${ending}.`);
    } catch {
      say(`${what} could not be made here.`);
    }
  };
  /** @param {string} what @param {() => string} make */
  const copying = (what, make) => async () =>
    say((await copy(make())) ? `${what} is copied.` : `${what} could not be copied here.`);
  const subject = () => ({ root, draw: offers.draw, title: offers.describe(), source: sourceOf(context, offers) });

  const entries = [
    linkId && { name: "link", text: "Copy link", onPress: copyLink },
    { name: "png", text: "Picture (PNG)", onPress: saving("The picture", "png", () => pngOf(subject())) },
    { name: "svg", text: "Picture (SVG)", onPress: saving("The picture", "svg", () => blobOf("image/svg+xml", svgOf(subject()))) },
    offers.table && { name: "csv", text: "Numbers (CSV)", onPress: saving("The table", "csv", () => blobOf("text/csv", csvText(context, offers))) },
    offers.python && { name: "python", text: "Copy Python", onPress: copying("The Python", () => pythonText(context, offers)) },
    linkId && el.dataset.embed && { name: "embed", text: "Copy embed code", onPress: copying("The code", () => embedText(context, offers)) },
  ]; // prettier-ignore
  return createMenu({
    text: "Share", label: "Share this figure", name: "share", within: root,
    entries: /** @type {import("./menu.js").Entry[]} */ (entries.filter(Boolean)),
  }); // prettier-ignore
}

/** @param {string} type @param {string} text */
const blobOf = (type, text) => new Blob([text], { type: `${type};charset=utf-8` });

/** The book, and where in it the picture is; not the folder of a page that was opened from one. @param {Context} context @param {Offers} offers */
function sourceOf({ linkId, state }, { writeLink }) {
  if (!linkId) return [BOOK];
  const page = location.protocol === "file:" ? "" : location.href.split("#")[0];
  return [BOOK, page + encode(linkId, writeLink(state))];
}

/** @param {Context} context @param {Offers} offers */
function csvText({ figure, state }, { table }) {
  const settings = Object.entries(state).map(([name, value]) => `${name}=${Array.isArray(value) ? `(${value.join(", ")})` : value}`);
  return csvOf(`${figure}: ${settings.join(", ")}`, /** @type {NonNullable<typeof table>} */ (table)());
}

/** @param {Context} context @param {Offers} offers */
function pythonText({ figure, state, config }, { python }) {
  const found = /** @type {NonNullable<typeof python>} */ (python)();
  return typeof found === "string" ? scriptOf(callOf(figure, state, config.presets), found) : scriptOf(found.call, found.lines);
}

/** @param {Context} context @param {Offers} offers */
function embedText({ el, figure, state }, { writeLink, describe }) {
  const page = new URL(/** @type {string} */ (el.dataset.embed), location.href).href;
  return embedCode(page, encode(figure.toLowerCase(), writeLink(state)), describe());
}
