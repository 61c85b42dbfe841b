// An eigenvalue on the curve: it is dragged along λ, through zero to where the loss falls.

import { svg } from "../../shared/dom.js";
import { number, subscript } from "../../shared/format.js";

/** By how much a key moves an eigenvalue. @type {Record<string, number>} */
const KEYS = {
  ArrowRight: 0.05, ArrowUp: 0.05, ArrowLeft: -0.05, ArrowDown: -0.05, PageUp: 0.5, PageDown: -0.5,
}; // prettier-ignore

/** Pixels within which a dragged eigenvalue falls into another's place. */
const CATCH = 5;

const RADIUS = 9;

/** @typedef {{px: number, py: number, shift: number, floor: number, beyond: boolean}} Place in pixels; is the point itself outside? */

/**
 * @param {import("./figure.js").View} view @param {import("../../shared/plot.js").Plot} plot
 * @param {number} i which eigenvalue @param {() => import("d3-scale").ScaleLinear<number, number>} scale of λ as it is now
 */
export function createKnob(view, plot, i, scale) {
  const { world, config } = view;
  const [least, most] = config.limits.eigenvalues;
  const stem = svg("line", { class: "samlib-thermostat-stem" });
  const ring = svg("circle", { class: "samlib-ring", r: RADIUS });
  const share = svg("circle", { class: "samlib-thermostat-share" });
  const text = svg("text", { class: "samlib-mark" });
  const group = svg(
    "g",
    {
      class: "samlib-handle", tabindex: 0, role: "slider", "aria-valuemin": least, "aria-valuemax": most, "aria-valuenow": 0,
      "data-control": `eigenvalue-${i + 1}`, ...listeners(),
    },
    stem, svg("circle", { class: "samlib-touch", r: 20 }), ring, share, text,
  ); // prettier-ignore
  plot.marks.append(group);

  /** @param {number} value */
  function set(value) {
    const next = Number(Math.min(Math.max(value, least), most).toFixed(2)) + 0;
    view.update({ eigenvalues: world.state.eigenvalues.map((v, k) => (k === i ? next : v)) });
  }

  /** @param {number} px */
  function drag(px) {
    const others = world.state.eigenvalues.filter((_, k) => k !== i);
    const tied = others.find((value) => Math.abs(scale()(value) - px) < CATCH);
    set(tied ?? scale().invert(px));
  }

  function listeners() {
    return {
      onpointerdown: (/** @type {PointerEvent} */ event) => {
        event.preventDefault();
        group.focus({ preventScroll: true });
        group.setPointerCapture(event.pointerId);
        view.pause();
        view.dragging = true;
      },
      // Chromium does not heed touch-action on a part of an SVG, and would scroll.
      ontouchstart: (/** @type {TouchEvent} */ event) => event.preventDefault(),
      onpointermove: (/** @type {PointerEvent} */ event) => {
        if (!group.hasPointerCapture(event.pointerId)) return;
        const at = event.clientX - plot.svg.getBoundingClientRect().left;
        drag(Math.min(Math.max(at, plot.box.left), plot.box.right));
      },
      onlostpointercapture: () => {
        view.dragging = false;
        view.redraw();
      },
    };
  }

  return {
    group,
    /** @param {Place} place */
    show({ px, py, shift, floor, beyond }) {
      const value = world.state.eigenvalues[i];
      const rank = world.ranks[i];
      const m = world.multiplier(value);
      group.classList.toggle("samlib-thermostat-top", value === Math.max(...world.state.eigenvalues));
      group.classList.toggle("samlib-thermostat-grows", Math.abs(m) > 1.001);
      group.setAttribute("transform", `translate(${px.toFixed(2)},${py.toFixed(2)})`);
      group.setAttribute("aria-label", `Eigenvalue λ${subscript(rank)}; the arrow keys move it`);
      group.setAttribute("aria-valuenow", String(value));
      group.setAttribute("aria-valuetext", number(value));
      stem.setAttribute("y2", (floor - py).toFixed(2));
      const part = world.share(i);
      share.setAttribute("r", (RADIUS * Math.min(Number.isFinite(part) ? part : 0, 1)).toFixed(2));
      text.setAttribute("x", String(13 + shift));
      text.setAttribute("y", "-9");
      const arrow = m < 0 ? "↓" : "↑";
      text.textContent = `v${subscript(rank)}${beyond ? ` ${arrow}` : ""}`;
    },
    /** @param {KeyboardEvent} event */
    key(event) {
      const by = KEYS[event.key];
      if (by) set(world.state.eigenvalues[i] + by * (event.shiftKey ? 5 : 1));
      return Boolean(by);
    },
  };
}
