// Keys that belong to a figure stay in it.

/**
 * Jupyter binds arrow keys and letters at the document, before any element sees them. Listening at the
 * window in the capture phase comes earlier still: stopping there keeps the browser's own behaviour (a
 * slider moves, a field takes the letter) and hides the key from Jupyter. Because it also hides it from
 * listeners inside, the figure's own keys are handled here.
 *
 * @param {HTMLElement} el
 * @param {(event: KeyboardEvent) => boolean} handle returns true when it has used the key
 * @returns {() => void} stops listening
 */
export function captureKeys(el, handle) {
  /** @param {KeyboardEvent} event */
  const listener = (event) => {
    if (!(event.target instanceof Node) || !el.contains(event.target)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (handle(event)) event.preventDefault();
    event.stopPropagation();
  };
  window.addEventListener("keydown", listener, true);
  return () => window.removeEventListener("keydown", listener, true);
}
