// Pictures that are painted once and then put on a canvas as a whole know how to paint themselves again, so that a
// drawing of them has lines and no pixels.

/** @typedef {(context: CanvasRenderingContext2D) => void} Painter in pixels of its canvas */

/** @type {WeakMap<object, Painter>} */
const painters = new WeakMap();

/** @param {HTMLCanvasElement} picture @param {Painter} paint */
export const rememberPainter = (picture, paint) => void painters.set(picture, paint);

/** @param {object} picture */
export const painterOf = (picture) => painters.get(picture);
