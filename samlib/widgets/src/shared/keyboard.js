// Keys that belong to a figure stay in it.

/** @typedef {(event: KeyboardEvent) => boolean} OnKey returns true when it has used the key */

/** What single elements do with keys. @type {WeakMap<EventTarget, OnKey>} */
const answers = new WeakMap();

/** Let an element inside a figure answer keys. @param {HTMLElement} el @param {OnKey} onKey */
export function answerKeys(el, onKey) {
  answers.set(el, onKey);
}

/**
 * Jupyter binds arrow keys and letters at the document, before any element sees them. Listening at the
 * window in the capture phase comes earlier still: stopping there keeps the browser's own behaviour (a
 * slider moves, a field takes the letter) and hides the key from Jupyter. Because it also hides it from
 * listeners inside, the figure's own keys are handled here.
 *
 * @param {HTMLElement} el
 * @param {OnKey} handle comes before what single elements answer
 * @returns {() => void} stops listening
 */
export function captureKeys(el, handle) {
  /** @param {KeyboardEvent} event */
  const listener = (event) => {
    if (!(event.target instanceof Node) || !el.contains(event.target)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (handle(event) || answers.get(event.target)?.(event)) event.preventDefault();
    event.stopPropagation();
  };
  window.addEventListener("keydown", listener, true);
  return () => window.removeEventListener("keydown", listener, true);
}
