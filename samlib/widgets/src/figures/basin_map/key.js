// What the colors mean, beside the map: each place with the share of the starts that end there, or how directions and
// places along a valley are colored.

import { html } from "../../shared/dom.js";
import { colourOfDirection, colourOfLabel, colourOfPosition, css } from "./colours.js";
import { LEFT } from "./ends.js";
import { nameOfLabel } from "./world.js";

/** @typedef {import("./figure.js").View} View */

/** Pixels a side of the small picture that explains continuous colors. */
const SIDE = 96;

/** A share as a reader says it. @param {number} share */
export function percent(share) {
  if (share > 0 && share < 0.005) return "< 1 %";
  if (share < 1 && share > 0.995) return "> 99 %";
  return `${Math.round(100 * share)} %`;
}

/** @param {View} view */
export function createKey(view) {
  const list = html("ul", { class: "samlib-basin-list" });
  const wheel = html("canvas", { width: SIDE, height: SIDE, class: "samlib-basin-wheel", "aria-hidden": "true" });
  const caption = html("p", { class: "samlib-basin-caption" });
  const how = html("p", { class: "samlib-basin-how" });
  let shown = "";
  /** @type {unknown} */
  let painted = null;

  /** Every place, and whatever else there is, with its share. */
  function showShares() {
    const { loss, inks, field } = view.world;
    const shares = field ? [...view.world.shares()].sort(([a], [b]) => a - b) : [];
    const rows = shares.filter(([label]) => loss.kind === "places" || label === LEFT);
    const text = JSON.stringify([rows, inks]);
    if (text === shown) return;
    shown = text;
    list.replaceChildren(...rows.map(([label, share]) => {
      const swatch = html("span", { class: "samlib-basin-swatch" });
      swatch.style.backgroundColor = css(colourOfLabel(inks, loss.places, label));
      return html("li", {}, swatch, html("span", {}, nameOfLabel(loss.places, label).replace(/^the /, "")), html("b", {}, percent(share)));
    })); // prettier-ignore
  }

  /** The small picture. */
  function paintWheel() {
    const { loss, inks } = view.world;
    if (painted === inks && wheel.dataset.of === view.world.key) return;
    painted = inks;
    wheel.dataset.of = view.world.key;
    const image = new ImageData(SIDE, SIDE);
    for (let i = 0; i < SIDE * SIDE; i++) {
      const [a, b] = [((i % SIDE) + 0.5) / SIDE, 1 - (Math.floor(i / SIDE) + 0.5) / SIDE];
      const angle = 2 * Math.atan2(b - 0.5, a - 0.5);
      const colour = loss.kind === "direction"
        ? colourOfDirection(inks, Math.cos(angle), Math.sin(angle))
        : colourOfPosition(inks, a, loss.landscape.dim === 3 ? 0 : b); // prettier-ignore
      image.data.set([...colour.map(Math.round), 255], 4 * i);
    }
    wheel.getContext("2d")?.putImageData(image, 0, 0);
  }

  return {
    el: html("div", { class: "samlib-basin-key" }, list, wheel, caption, how),
    show() {
      const { loss, field } = view.world;
      const continuous = loss.kind !== "places";
      showShares();
      wheel.hidden = !continuous;
      wheel.dataset.kind = loss.kind;
      if (continuous) paintWheel();
      caption.textContent = {
        places: "The darker, the later it came there.",
        direction: "The color is the direction of the last gradient, on either side.",
        valley: "The color is where on the map the run ends.",
      }[loss.kind];
      how.textContent = field ? `${field.size} × ${field.size} starts, ${whoOf(view)}` : "";
    },
  };
}

/** Who computed the map. @param {View} view */
function whoOf({ world }) {
  if (world.hasCard()) return "computed by a shader.";
  return "computed without WebGL 2, which this browser does not offer: the map is coarser for it.";
}
