// A Path2D that remembers how it was made: the browser's own can be drawn, but not read.

/** @typedef {import("./matrix.js").Matrix} Matrix */
/** @typedef {[name: string, ...args: any[]]} PathCall a call of a canvas, the text of an SVG path, or another path */

/** @type {WeakMap<Path2D, PathCall[]>} */
const memory = new WeakMap();

/** How a path was made; undefined if it is older than the recording. @param {Path2D} path */
export const callsOf = (path) => memory.get(path);

const CALLS = /** @type {const} */ ([
  "moveTo", "lineTo", "quadraticCurveTo", "bezierCurveTo", "closePath", "rect", "arc", "ellipse",
]); // prettier-ignore

/** The class with a memory, to stand in the place of the browser's. @param {typeof Path2D} Native */
export function rememberingPath(Native) {
  class RecordedPath extends Native {
    /** @param {Path2D | string} [from] */
    constructor(from) {
      super(/** @type {any} */ (from ?? ""));
      memory.set(this, typeof from === "string" ? [["text", from]] : from ? [...(memory.get(from) ?? [])] : []);
    }
    /** @param {Path2D} path @param {DOMMatrix2DInit} [m] */
    addPath(path, m) {
      super.addPath(path, m);
      const { a = 1, b = 0, c = 0, d = 1, e = 0, f = 0 } = m ?? {};
      memory.get(this)?.push(["addPath", memory.get(path) ?? [], [a, b, c, d, e, f]]);
    }
  }
  for (const name of CALLS) {
    /** @type {(this: Path2D, ...args: any[]) => void} */
    const remember = function (...args) {
      /** @type {any} */ (Native.prototype[name]).apply(this, args);
      memory.get(this)?.push([name, ...args]);
    };
    Object.defineProperty(RecordedPath.prototype, name, { value: remember });
  }
  return RecordedPath;
}
