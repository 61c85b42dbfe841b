// Get the script that trains, samlib-training.js: pages load it when a figure needs it, and not before.

import { TrainingError } from "./errors.js";

/** @typedef {import("./api.js").Library} Library */

/** @type {Promise<Library> | null} */
let loading = null;

/** What the script leaves behind. @returns {Library | undefined} */
const loaded = () => /** @type {any} */ (globalThis).samlibTraining;

/**
 * @param {string} [source] the text of the script, as a notebook's figure has it from Python, or its address; by default
 *   it lies beside the figures' own script on the page
 * @returns {Promise<Library>}
 * @throws {TrainingError} with the code "no-script"
 */
export function loadTraining(source = besideFigures()) {
  const library = loaded();
  if (library) return Promise.resolve(library);
  loading ??= bring(source).then(() => {
    const brought = loaded();
    if (brought) return brought;
    loading = null;
    throw new TrainingError("no-script");
  });
  return loading;
}

/** What tells this version of the script from others, where the site marks versions: no old one comes out of a cache. */
const version = typeof TRAINING_DIGEST === "string" ? `?v=${TRAINING_DIGEST}` : "";

/** The address of the script, by that of the figures' script. */
function besideFigures() {
  const scripts = [...document.querySelectorAll("script")].map(({ src }) => src);
  const own = scripts.find((src) => src.includes("samlib-widgets.js")) ?? "";
  const [folder, mark] = own.split("samlib-widgets.js");
  return own && `${folder}samlib-training.js${mark.startsWith("?v=") ? version : ""}`;
}

/** Run the script. A text is run by way of a blob, an address as any script. @param {string} source @returns {Promise<void>} */
function bring(source) {
  if (!source) return Promise.resolve();
  const isText = source.includes("\n") || source.length > 2000;
  const src = isText ? URL.createObjectURL(new Blob([source], { type: "text/javascript" })) : source;
  return new Promise((done) => {
    const script = Object.assign(document.createElement("script"), { src, onload: done, onerror: done });
    document.head.append(script);
  }).then(() => (isText ? URL.revokeObjectURL(src) : undefined));
}
