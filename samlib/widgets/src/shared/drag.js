// Dragging across a plot.

/** @typedef {import("./plot.js").Plot} Plot */

/** Follow a pointer that is pressed on a plot. @param {Plot} plot @param {(event: PointerEvent) => void} follow */
export function onDrag({ svg: root }, follow) {
  root.addEventListener("pointerdown", (event) => {
    root.setPointerCapture(event.pointerId);
    follow(event);
  });
  root.addEventListener("pointermove", (event) => {
    if (root.hasPointerCapture(event.pointerId)) follow(event);
  });
}

/**
 * Where a pointer is along the axis across a plot, as a part of it from 0 to 1.
 *
 * @param {Plot} plot @param {PointerEvent} event @param {number} [slack] pixels at the right end that the axis leaves
 */
export function partAcross({ box, svg }, event, slack = 0) {
  const at = event.clientX - svg.getBoundingClientRect().left;
  return Math.min(Math.max((at - box.left) / (box.right - slack - box.left), 0), 1);
}

/**
 * Go to the step that is pointed at on a logarithmic axis of steps.
 *
 * @param {Plot} plot @param {PointerEvent} event @param {number} slack
 * @param {{pause: () => void, update: (changes: any) => void}} view
 * @param {{keys: number[], state: {steps: number}}} world
 */
export function scrubSteps(plot, event, slack, view, { keys, state }) {
  const t = Math.expm1(partAcross(plot, event, slack) * Math.log1p(state.steps));
  view.pause();
  view.update({ frame: keys.reduce((a, b) => (Math.abs(b - t) < Math.abs(a - t) ? b : a)) });
}
