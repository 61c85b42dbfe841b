// The canvases of a figure that are seen.

/** @param {Element} root */
export const canvasesIn = (root) =>
  [...root.querySelectorAll("canvas")].filter((canvas) => canvas.width > 0 && canvas.getClientRects().length > 0);
