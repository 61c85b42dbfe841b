// The handle by which the reader moves the start: by mouse, by touch or with the arrow keys.

import { svg } from "./dom.js";
import { number, subscript } from "./format.js";

/** @typedef {ReturnType<typeof createHandle>} Handle */

/** @type {Record<string, [number, number]>} */
const DIRECTIONS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/**
 * What the handle moves: a trait that is a list of numbers, in any figure.
 *
 * @typedef {object} Mover
 * @property {Record<string, any>} state
 * @property {any} config
 * @property {boolean} dragging
 * @property {() => void} redraw
 * @property {() => void} pause
 * @property {(changes: any) => void} update
 */

/**
 * @param {Mover} view @param {import("./plot.js").Plot} plot
 * @param {() => readonly [number, number]} coordinates which two of the trait's numbers it moves
 * @param {{trait?: string, text?: string, label?: string}} [options]
 *   the trait, what is written beside the handle, and what a screen reader says it is
 */
export function createHandle(
  view, plot, coordinates, { trait = "start", text: caption = "start", label = "Start of both runs" } = {},
) { // prettier-ignore
  const text = svg("text", { "text-anchor": "middle", class: "samlib-mark" }, caption);
  const group = svg(
    "g",
    { class: "samlib-handle", tabindex: 0, role: "slider", "aria-valuenow": 0, "data-control": trait },
    svg("circle", { r: 22, class: "samlib-touch" }),
    svg("circle", { r: 9, class: "samlib-ring" }),
    text,
  );
  plot.marks.append(group);
  /** @type {(px: number) => number} */
  let fromX = Number;
  /** @type {(px: number) => number} */
  let fromY = Number;
  let reach = 1;

  /** @param {number} a @param {number} b */
  function moveTo(a, b) {
    const [i, j] = coordinates();
    const [low, high] = view.config.limits[trait];
    // As many decimals as one can see.
    const decimals = Math.max(0, 3 - Math.floor(Math.log10(reach)));
    const tidy = (/** @type {number} */ v) => Number(Math.min(Math.max(v, low), high).toFixed(decimals));
    const numbers = [...view.state[trait]];
    numbers[i] = tidy(a);
    numbers[j] = tidy(b);
    view.update({ [trait]: numbers });
  }

  group.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    group.focus();
    group.setPointerCapture(event.pointerId);
    view.pause();
    view.dragging = true;
  });
  // Chromium does not heed touch-action on a part of an SVG, and would scroll.
  group.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  group.addEventListener("pointermove", (event) => {
    if (!group.hasPointerCapture(event.pointerId)) return;
    const { left, top } = plot.svg.getBoundingClientRect();
    const { box } = plot;
    const x = Math.min(Math.max(event.clientX - left, box.left), box.right);
    const y = Math.min(Math.max(event.clientY - top, box.top), box.bottom);
    moveTo(fromX(x), fromY(y));
  });
  group.addEventListener("lostpointercapture", () => {
    view.dragging = false;
    view.redraw();
  });

  return {
    group,
    /**
     * @param {import("d3-scale").ScaleLinear<number, number>} x
     * @param {import("d3-scale").ScaleLinear<number, number>} y
     */
    show(x, y) {
      const { box } = plot;
      const [i, j] = coordinates();
      const a = view.state[trait][i];
      const b = view.state[trait][j];
      const px = x(a);
      const py = y(b);
      [fromX, fromY] = [x.invert, y.invert];
      reach = (x.invert(box.right) - x.invert(box.left)) / 2;
      const inside =
        px >= box.left - 1 && px <= box.right + 1 && py >= box.top - 1 && py <= box.bottom + 1;
      group.toggleAttribute("hidden", !inside);
      group.setAttribute("transform", `translate(${px.toFixed(2)},${py.toFixed(2)})`);
      text.setAttribute("y", py < box.top + 28 ? "24" : "-14");
      const names = `x${subscript(i + 1)} and x${subscript(j + 1)}`;
      group.setAttribute("aria-label", `${label}, ${names}; the arrow keys move it`);
      group.setAttribute("aria-valuenow", String(a));
      group.setAttribute("aria-valuetext", `${number(a)}, ${number(b)}`);
    },
    /** @param {KeyboardEvent} event @returns {boolean} was it for the handle? */
    key(event) {
      const direction = DIRECTIONS[event.key];
      if (!direction) return false;
      const by = reach * (event.shiftKey ? 0.1 : 0.02);
      const [i, j] = coordinates();
      const numbers = view.state[trait];
      moveTo(numbers[i] + by * direction[0], numbers[j] + by * direction[1]);
      return true;
    },
  };
}
