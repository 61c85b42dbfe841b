// Whether somebody watches: nothing is trained on a page in the background, or far from what is seen.

/** @param {HTMLElement} root of the figure */
export function watchFor(root) {
  let near = false;
  /** @type {(() => void)[]} */
  let waiting = [];
  /** @type {() => void} */
  let first = () => {};
  const seen = () => near && !document.hidden;
  function change() {
    if (!seen()) return;
    first();
    first = () => {};
    for (const go of waiting.splice(0)) go();
  }
  const observer = new IntersectionObserver((entries) => {
    near = entries[entries.length - 1].isIntersecting;
    change();
  });
  observer.observe(root);
  document.addEventListener("visibilitychange", change);
  return {
    /** Wait until somebody watches. @returns {Promise<void>} */
    turn: () => (seen() ? Promise.resolve() : new Promise((done) => waiting.push(done))),
    /** Call back when the figure is seen for the first time. @param {() => void} callback */
    once: (callback) => {
      first = callback;
    },
    dispose() {
      observer.disconnect();
      document.removeEventListener("visibilitychange", change);
      waiting = [];
    },
  };
}
