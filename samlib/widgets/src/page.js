// The script of a page without a kernel: it brings every placeholder to life.

import { render } from "./index.js";
import { staticModel } from "./shared/model.js";

/** Replace the still in each placeholder of the page by the live figure. */
function mountAll() {
  for (const el of document.querySelectorAll("[data-samlib-widget]")) {
    const json = el.querySelector('script[type="application/json"]')?.textContent;
    if (!(el instanceof HTMLElement) || !json || el.classList.contains("samlib-live")) continue;
    render({ model: staticModel(JSON.parse(json)), el, linkId: el.id || undefined });
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mountAll);
else mountAll();
