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
 * @param {{trait?: string, text?: string, label?: string, along?: string}} [options]
 *   the trait, what is written beside the handle, and what a screen reader says it is; with the name
 *   `along` of the first of the two numbers, the handle moves that one only, from left to right
 */
export function createHandle(
  view, plot, coordinates,
  { trait = "start", text: caption = "start", label = "Start of both runs", along } = {},
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
    if (!along) numbers[j] = tidy(b);
    view.update({ [trait]: numbers });
  }

  group.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    group.focus();
    group.setPointerCapture(event.pointerId);
    view.pause();
    view.dragging = true;
  });
  // A finger moves the handle, not the page: touch-action does not hold for parts of an SVG.
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
     * @param {{below?: boolean, level?: number}} [options] is the caption better below the ring? And where does
     *   the handle stand on the vertical axis, if it moves along the other only?
     */
    show(x, y, { below = false, level } = {}) {
      const { box } = plot;
      const [i, j] = coordinates();
      const a = view.state[trait][i];
      const b = level ?? view.state[trait][j];
      const px = x(a);
      const py = y(b);
      [fromX, fromY] = [x.invert, y.invert];
      reach = (x.invert(box.right) - x.invert(box.left)) / 2;
      const inside =
        px >= box.left - 1 && px <= box.right + 1 && py >= box.top - 1 && py <= box.bottom + 1;
      group.toggleAttribute("hidden", !inside);
      group.setAttribute("transform", `translate(${px.toFixed(2)},${py.toFixed(2)})`);
      text.setAttribute("y", below || py < box.top + 28 ? "26" : "-14");
      const names = along ?? `x${subscript(i + 1)} and x${subscript(j + 1)}`;
      group.setAttribute("aria-label", `${label}, ${names}; the arrow keys move it`);
      group.setAttribute("aria-valuenow", String(a));
      group.setAttribute("aria-valuetext", along ? number(a) : `${number(a)}, ${number(b)}`);
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
