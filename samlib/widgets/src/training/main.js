// The entry of samlib-training.js. One script serves both sides: on a page it leaves samlibTraining behind, with its own
// text, of which a worker is made; in a worker it answers questions.

import { createLibrary } from "./api.js";
import { createHost } from "./host.js";

/** @param {Function} script the whole script, as build.js wraps it */
export function begin(script) {
  if (typeof document === "undefined") {
    const receive = createHost((answer) => postMessage(answer));
    onmessage = ({ data }) => receive(data);
  } else {
    /** @type {any} */ (globalThis).samlibTraining = createLibrary(`(${script})()`);
  }
}
