// The sentence that says what is shown, to be read and to be heard.

import { html } from "./dom.js";
import { inHtml, plain } from "./subscripts.js";

export function createReadout() {
  const sight = html("p", { class: "samlib-readout", "aria-hidden": "true" });
  const voice = html("p", { class: "samlib-hidden samlib-voice", role: "status", "aria-live": "polite" });
  let speech = 0;
  return {
    parts: [sight, voice],
    /** @param {string} sentence */
    say(sentence) {
      if (sight.textContent === plain(sentence)) return;
      sight.replaceChildren(...inHtml(sentence));
      // Read aloud when the reader has come to rest, not at every step of a drag.
      clearTimeout(speech);
      speech = window.setTimeout(() => (voice.textContent = plain(sentence)), 500);
    },
    dispose: () => clearTimeout(speech),
  };
}
