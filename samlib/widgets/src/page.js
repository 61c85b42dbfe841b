// The script of a page without a kernel: it brings every placeholder to life.

import { render } from "./index.js";
import { staticModel } from "./shared/model.js";

/**
 * The state in a placeholder. Where its configuration is a name, a script of the page has brought what
 * is called so: large ones are shared by pages.
 *
 * @param {string} json
 */
function stateIn(json) {
  const state = JSON.parse(json);
  const { _config } = state;
  return typeof _config === "string" ? { ...state, _config: window.samlibConfigs?.[_config] } : state;
}

/** Replace the still in a placeholder by the live figure. @param {HTMLElement} el */
function mount(el) {
  const json = el.querySelector('script[type="application/json"]')?.textContent;
  if (!json || el.classList.contains("samlib-live")) return;
  render({ model: staticModel(stateIn(json)), el, linkId: el.id || undefined });
}

/** Say whether an element can be seen without scrolling. @param {HTMLElement} el */
function isInView(el) {
  const { top, bottom } = el.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

/**
 * Mount the figures one after the other, those in view first, and answer to the reader in between.
 *
 * @param {HTMLElement[]} waiting
 */
function mountNext([first, ...others]) {
  if (!first) return;
  mount(first);
  setTimeout(mountNext, 0, others);
}

/** Bring every placeholder of the page to life. */
function mountAll() {
  const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-samlib-widget]")]);
  const seen = all.map(isInView);
  mountNext([...all.filter((_, i) => seen[i]), ...all.filter((_, i) => !seen[i])]);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mountAll);
else mountAll();
