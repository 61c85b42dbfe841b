// The square of the plane that a map of Γ shows: as large as it must be for the start to be in it.

import { niceCeil } from "./format.js";

/**
 * @param {{state: {start: number[]}, dragging: boolean}} view
 * @param {number} low of both coordinates while the start is inside @param {number} high
 * @returns {() => {low: number, high: number, more: number}} `more` is what was added on each side; the window
 *   stands still while something is dragged
 */
export function growingWindow(view, low, high) {
  let more = 0;
  return () => {
    const [x1, x2] = view.state.start;
    const outside = Math.max(low - x1, low - x2, x1 - high, x2 - high);
    if (!view.dragging) more = outside > 0 ? niceCeil(outside + 0.1) : 0;
    return { low: low - more, high: high + more, more };
  };
}
