// Moving about: a press chooses a start; wheel, two fingers, keys and buttons zoom.

import { button } from "../../shared/buttons.js";

/** @typedef {import("./figure.js").View} View */

/** One zoom by a key or a button. */
const STEP = 1.6;

const ICONS = {
  in: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  out: "M5 11h14v2H5z",
  whole: "M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",
};

/**
 * @param {View} view @param {ReturnType<typeof import("./map.js").createMap>} map
 */
export function createZoom(view, map) {
  const { svg } = map.plot;

  /** Zoom about a point, which stays where it is. @param {number} factor < 1 to see more closely @param {number[]} about */
  function zoom(factor, about) {
    const { center, reach } = view.state;
    const [low, high] = view.config.limits.reach;
    const next = Number(Math.min(Math.max(reach * factor, low), high).toPrecision(4));
    const [from, to] = view.config.limits.center;
    const digits = Math.ceil(3 - Math.log10(next));
    const moved = center.map((c, i) => Math.min(Math.max(about[i] + (c - about[i]) * (next / reach), from), to));
    view.update({ reach: next, center: moved.map((c) => Number(c.toFixed(Math.max(digits, 0)))) });
  }
  const whole = () => {
    const { center, reach } = view.preset(view.state.loss);
    view.update({ center, reach });
  };
  const keys = {
    "+": () => zoom(1 / STEP, view.state.start), "=": () => zoom(1 / STEP, view.state.start),
    "-": () => zoom(STEP, view.state.start), "0": whole,
  }; // prettier-ignore

  svg.addEventListener("wheel", (event) => {
    // A wheel scrolls the page, unless the reader is at work here or pinches on a pad.
    if (!event.ctrlKey && document.activeElement !== map.handle.group) return;
    event.preventDefault();
    zoom(Math.exp(Math.min(Math.max(event.deltaY, -60), 60) / 200), map.pointAt(event));
  }, { passive: false }); // prettier-ignore
  followPointers(view, map, zoom);

  const buttons = [
    ["Zoom in at the start", "in", keys["+"]], ["Zoom out", "out", keys["-"]], ["The whole map", "whole", whole],
  ].map(([label, icon, onPress]) => {
    const el = button({
      label: /** @type {string} */ (label), icon: ICONS[/** @type {keyof typeof ICONS} */ (icon)],
      onPress: /** @type {() => void} */ (onPress), className: "samlib-basin-zoom",
    }); // prettier-ignore
    el.dataset.control = `zoom-${icon}`;
    return el;
  }); // prettier-ignore
  return {
    buttons,
    /** @param {KeyboardEvent} event @returns {boolean} was it for the map? */
    key(event) {
      const act = keys[/** @type {keyof typeof keys} */ (event.key)];
      act?.();
      return Boolean(act) || map.handle.key(event);
    },
  };
}

/**
 * One pointer on the map moves the start, two zoom and move the window.
 *
 * @param {View} view @param {ReturnType<typeof import("./map.js").createMap>} map
 * @param {(factor: number, about: number[]) => void} zoom
 */
function followPointers(view, map, zoom) {
  const { svg } = map.plot;
  /** @type {Map<number, PointerEvent>} */
  const down = new Map();
  const isOnHandle = (/** @type {PointerEvent} */ event) => map.handle.group.contains(/** @type {Node} */ (event.target));

  /** @param {PointerEvent} event */
  function choose(event) {
    const digits = Math.max(Math.ceil(3 - Math.log10(view.state.reach)), 0);
    const [low, high] = view.config.limits.start;
    const tidy = (/** @type {number} */ v) => Number(Math.min(Math.max(v, low), high).toFixed(digits));
    view.update({ start: map.pointAt(event).map(tidy) });
  }

  /** Two fingers: how far apart they are now and were before, around their middle. @param {PointerEvent} event */
  function pinch(event) {
    const before = [...down.values()];
    down.set(event.pointerId, event);
    const now = [...down.values()];
    const spread = (/** @type {PointerEvent[]} */ [a, b]) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    const middle = (/** @type {PointerEvent[]} */ [a, b]) =>
      map.pointAt({ clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 });
    const [from, to] = [middle(before), middle(now)];
    const { center } = view.state;
    view.update({ center: center.map((c, i) => c + from[i] - to[i]) });
    if (spread(now) > 10) zoom(spread(before) / spread(now), from);
  }

  svg.addEventListener("pointerdown", (event) => {
    if (isOnHandle(event) && down.size === 0) return; // it moves by itself
    event.preventDefault(); // or the focus would go elsewhere
    svg.setPointerCapture(event.pointerId);
    down.set(event.pointerId, event);
    view.dragging = true;
    if (down.size > 1) return;
    choose(event);
    map.handle.group.focus({ preventScroll: true });
  });
  svg.addEventListener("pointermove", (event) => {
    if (!down.has(event.pointerId)) return;
    if (down.size === 2) pinch(event);
    else if (down.size === 1) choose(event);
  });
  for (const kind of /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"])) {
    svg.addEventListener(kind, (event) => {
      if (!down.delete(event.pointerId)) return;
      view.dragging = down.size > 0;
      view.redraw();
    });
  }
  // Two fingers belong to the map, one may scroll the page.
  svg.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
}
