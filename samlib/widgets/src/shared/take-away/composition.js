// How a picture to take away is put together: what a figure shows, without its controls, as on the page; below it
// the sentence, and where it is from.

import { canvasesIn } from "./canvases.js";

/** What belongs to a picture. A figure marks more by data-picture. */
const BLOCKS = ".samlib-legend, .samlib-plot, .samlib-numbers, .samlib-readout, [data-picture]";

/** Between rows of blocks, in pixels. */
const GAP = 12;

/** @typedef {{element: Element, left: number, top: number, width: number, height: number}} Block where it is on the screen */
/** @typedef {Block & {x: number, y: number}} Placed and where it goes */

/** @param {Element} root of a figure @returns {Block[]} */
function blocksOf(root) {
  const marked = [...root.querySelectorAll(BLOCKS)].filter((element) => !element.parentElement?.closest(BLOCKS));
  const bare = canvasesIn(root).filter((canvas) => !canvas.closest(BLOCKS));
  return [...marked, ...bare].flatMap((element) => {
    if (!element.getClientRects().length) return [];
    const range = document.createRange();
    range.selectNodeContents(element);
    // A sentence keeps room for more lines than it has.
    const text = element.matches(".samlib-readout");
    const { left, top, width, height } = (text ? range : element).getBoundingClientRect();
    return width && height ? [{ element, left, top, width, height }] : [];
  });
}

/**
 * The blocks from top to bottom; those beside each other stay so, and what was between them is left out.
 *
 * @param {Element} root @returns {{blocks: Placed[], width: number, height: number}}
 */
export function compose(root) {
  const waiting = blocksOf(root).sort((a, b) => a.top - b.top);
  const left = Math.min(...waiting.map((block) => block.left));
  /** @type {Placed[]} */
  const blocks = [];
  let height = 0;
  while (waiting.length) {
    const [first] = waiting;
    let bottom = first.top + first.height;
    const row = [];
    while (waiting.length && waiting[0].top < bottom - 1) {
      const block = /** @type {Block} */ (waiting.shift());
      bottom = Math.max(bottom, block.top + block.height);
      row.push(block);
    }
    // On whole pixels, as a screen shows them: lines stay sharp.
    const [x, y] = [-left, height - first.top];
    for (const block of row) blocks.push({ ...block, x: Math.round(x + block.left), y: Math.round(y + block.top) });
    height += bottom - first.top + GAP;
  }
  const width = Math.max(...blocks.map((block) => block.x + block.width));
  return { blocks, width, height: height - GAP };
}
