// An eigenvalue as a stem that can be dragged.

import { svg } from "../../shared/dom.js";
import { number, subscript } from "../../shared/format.js";

/** By how much a key changes an eigenvalue. @type {Record<string, number>} */
const KEYS = {
  ArrowUp: 1.05, ArrowRight: 1.05, ArrowDown: 1 / 1.05, ArrowLeft: 1 / 1.05, PageUp: 2, PageDown: 0.5,
}; // prettier-ignore

/**
 * @param {import("./view.js").View} view @param {import("../../shared/plot.js").Plot} plot
 * @param {number} i which eigenvalue
 * @param {() => import("d3-scale").ScaleLogarithmic<number, number>} scale the vertical scale as it is now
 */
export function createStem(view, plot, i, scale) {
  const { world, config } = view;
  const [least, most] = config.limits.eigenvalues;
  const line = svg("line", { class: "samlib-stem" });
  const touch = svg("circle", { class: "samlib-touch" });
  const knob = svg("circle", { class: "samlib-ring", r: 6.5 });
  const group = svg(
    "g",
    {
      class: "samlib-handle", tabindex: 0, role: "slider", "aria-orientation": "vertical",
      "aria-label": `Eigenvalue λ along x${subscript(i + 1)}; the arrow keys change it`,
      "aria-valuemin": least, "aria-valuemax": most,
      "aria-valuenow": 1, "data-control": `eigenvalue-${i + 1}`,
      ...listeners(),
    },
    line, touch, knob,
  ); // prettier-ignore
  plot.marks.append(group);

  /** @param {number} value */
  function set(value) {
    const next = Number(Math.min(Math.max(value, least), most).toPrecision(3));
    view.update({ eigenvalues: world.state.eigenvalues.map((v, k) => (k === i ? next : v)) });
  }

  /** Its line over time stands out. @param {number} which */
  function point(which) {
    if (view.dragging || which === world.pointed) return;
    world.pointed = which;
    view.redraw();
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
        const [bottom, top] = scale().range();
        const at = event.clientY - plot.svg.getBoundingClientRect().top;
        set(scale().invert(Math.min(Math.max(at, top), bottom)));
      },
      onlostpointercapture: () => {
        view.dragging = false;
        view.redraw();
      },
      onfocus: () => point(i),
      onblur: () => point(-1),
      onpointerenter: () => point(i),
      onpointerleave: () => point(-1),
    };
  }

  return {
    group,
    /** @param {number} x @param {number} base @param {number} column @param {boolean} top */
    show(x, base, column, top) {
      const value = world.state.eigenvalues[i];
      const at = scale()(value);
      group.classList.toggle("samlib-top", top);
      group.setAttribute("transform", `translate(${x.toFixed(2)},${at.toFixed(2)})`);
      group.setAttribute("aria-valuenow", String(value));
      group.setAttribute("aria-valuetext", number(value));
      line.setAttribute("y2", (base - at).toFixed(2));
      touch.setAttribute("r", String(Math.min(22, Math.max(12, column / 2))));
    },
    /** @param {KeyboardEvent} event */
    key(event) {
      const factor = KEYS[event.key];
      if (!factor) return false;
      set(world.state.eigenvalues[i] * (event.shiftKey ? factor ** 4 : factor));
      return true;
    },
  };
}
