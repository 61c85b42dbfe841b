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
 * @param {import("./view.js").View} view @param {import("./plot.js").Plot} plot
 * @param {() => readonly [number, number]} coordinates which two of the start it moves
 */
export function createHandle(view, plot, coordinates) {
  const text = svg("text", { "text-anchor": "middle", class: "samlib-mark" }, "start");
  const group = svg(
    "g",
    { class: "samlib-handle", tabindex: 0, role: "slider", "aria-valuenow": 0, "data-control": "start" },
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
    const [low, high] = view.config.limits.start;
    // As many decimals as one can see.
    const decimals = Math.max(0, 3 - Math.floor(Math.log10(reach)));
    const tidy = (/** @type {number} */ v) => Number(Math.min(Math.max(v, low), high).toFixed(decimals));
    const start = [...view.world.state.start];
    start[i] = tidy(a);
    start[j] = tidy(b);
    view.update({ start });
  }

  group.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    group.focus();
    group.setPointerCapture(event.pointerId);
    view.pause();
    view.dragging = true;
  });
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
      const a = view.world.state.start[i];
      const b = view.world.state.start[j];
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
      group.setAttribute("aria-label", `Start of both runs, ${names}; the arrow keys move it`);
      group.setAttribute("aria-valuenow", String(a));
      group.setAttribute("aria-valuetext", `${number(a)}, ${number(b)}`);
    },
    /** @param {KeyboardEvent} event @returns {boolean} was it for the handle? */
    key(event) {
      const direction = DIRECTIONS[event.key];
      if (!direction) return false;
      const by = reach * (event.shiftKey ? 0.1 : 0.02);
      const [i, j] = coordinates();
      const { start } = view.world.state;
      moveTo(start[i] + by * direction[0], start[j] + by * direction[1]);
      return true;
    },
  };
}
