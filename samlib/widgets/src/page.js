// The script of a page without a kernel: it brings every placeholder to life.

import { HEAVY, render } from "./index.js";
import { staticModel } from "./shared/model.js";
import { decode } from "./shared/permalink.js";

/**
 * Replace the still in a placeholder by the live figure. A configuration that is an address is fetched from
 * there first, when the reader comes near: large ones are scripts that pages share. So is a figure that is a script.
 *
 * @param {HTMLElement} el
 */
async function mount(el) {
  const json = el.querySelector('script[type="application/json"]')?.textContent;
  if (!json || el.classList.contains("samlib-live")) return;
  const state = JSON.parse(json);
  if (typeof state._config === "string" || state._figure in HEAVY) await nearView(el);
  if (typeof state._config === "string") state._config = await configFrom(state._config);
  render({ model: staticModel(state), el, linkId: el.id || undefined, alias: aliasOf(el) });
}

/**
 * The name by which a text may link to a figure, though its id changes with its state: limitingflow, and limitingflow-2
 * for the next one of its kind on the page.
 *
 * @param {HTMLElement} el
 */
function aliasOf(el) {
  const kind = el.dataset.samlibWidget ?? "";
  const place = [...document.querySelectorAll(`[data-samlib-widget="${kind}"]`)].indexOf(el) + 1;
  return kind.toLowerCase() + (place > 1 ? `-${place}` : "");
}

/**
 * Wait until a figure is less than a screen away from what is seen, or a link leads to it.
 *
 * @param {HTMLElement} el @returns {Promise<void>}
 */
function nearView(el) {
  return new Promise((done) => {
    const follow = () => (decode(el.id, location.hash) ?? decode(aliasOf(el), location.hash)) && done();
    addEventListener("hashchange", follow);
    follow();
    const notice = (/** @type {IntersectionObserverEntry[]} */ entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) done();
    };
    new IntersectionObserver(notice, { rootMargin: "100% 0px" }).observe(el);
  });
}

/**
 * The configuration that a script brings as a property of its element: a page opened as a file can load a
 * script and no data.
 *
 * @param {string} src @returns {Promise<object>}
 */
function configFrom(src) {
  return new Promise((done) => {
    const script = Object.assign(document.createElement("script"), { src, samlibConfig: {} });
    script.onload = () => done(script.samlibConfig);
    document.head.append(script);
  });
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
