// The path that a canvas follows, in the words of SVG.

import { IDENTITY, apply, scaleOf, turnOf } from "./matrix.js";

/** @typedef {import("./matrix.js").Matrix} Matrix */

/** Hundredths of a pixel are seen by nobody. @param {number} v */
const tidy = (v) => Number(v.toFixed(2));

/** @typedef {ReturnType<typeof createPathData>} PathData */

/** A path that grows by the calls of a canvas; each is seen through the matrix that it gets. */
export function createPathData() {
  /** @type {string[]} */
  let parts = [];
  let open = false;

  /** @param {string} letter @param {Matrix} m @param {...number} numbers pairs of coordinates */
  function add(letter, m, ...numbers) {
    if (!numbers.every(Number.isFinite)) return; // as a canvas does
    const seen = [];
    for (let i = 0; i < numbers.length; i += 2) seen.push(...apply(m, numbers[i], numbers[i + 1]).map(tidy));
    // A line from nowhere begins a path.
    parts.push((letter === "L" && !open ? "M" : letter) + seen.join(" "));
    open = true;
  }

  /** @param {Matrix} m @param {number} x @param {number} y @param {number} rx @param {number} ry @param {number} turn @param {number} from @param {number} to @param {boolean} [back] */
  function ellipse(m, x, y, rx, ry, turn, from, to, back = false) {
    if (![x, y, rx, ry, from, to].every(Number.isFinite)) return;
    const whole = 2 * Math.PI;
    let sweep = back ? from - to : to - from;
    sweep = sweep >= whole ? whole : ((sweep % whole) + whole) % whole;
    const [c, s] = [Math.cos(turn), Math.sin(turn)];
    const at = (/** @type {number} */ angle) => {
      const [u, v] = [rx * Math.cos(angle), ry * Math.sin(angle)];
      return /** @type {const} */ ([x + c * u - s * v, y + s * u + c * v]);
    };
    add("L", m, ...at(from));
    const size = [rx, ry].map((r) => tidy(r * scaleOf(m))).join(" ");
    const degrees = tidy(((turn + turnOf(m)) * 180) / Math.PI);
    // Two halves: a whole circle in one would be nothing.
    for (const part of [0.5, 1]) {
      const end = apply(m, ...at(from + (back ? -1 : 1) * part * sweep)).map(tidy);
      parts.push(`A${size} ${degrees} 0 ${back ? 0 : 1} ${end.join(" ")}`);
    }
  }

  const close = () => {
    if (open) parts.push("Z");
  };

  /** What each call of a canvas adds. @type {Record<string, (m: Matrix, ...args: any[]) => void>} */
  const calls = {
    moveTo: (m, x, y) => add("M", m, x, y),
    lineTo: (m, x, y) => add("L", m, x, y),
    quadraticCurveTo: (m, ...args) => add("Q", m, ...args),
    bezierCurveTo: (m, ...args) => add("C", m, ...args),
    closePath: close,
    rect(m, x, y, w, h) {
      add("M", m, x, y);
      for (const [px, py] of [[x + w, y], [x + w, y + h], [x, y + h]]) add("L", m, px, py); // prettier-ignore
      close();
    },
    arc: (m, x, y, r, from, to, back) => ellipse(m, x, y, r, r, 0, from, to, back),
    ellipse,
  };

  return {
    calls,
    begin() {
      parts = [];
      open = false;
    },
    text: () => parts.join(""),
  };
}

/**
 * The pieces of a recorded Path2D, each with the matrix that it is seen through.
 *
 * @param {import("./recorded-path.js").PathCall[]} path @param {Matrix} [m] @returns {{d: string, matrix: Matrix}[]}
 */
export function piecesOf(path, m = IDENTITY) {
  /** @type {{d: string, matrix: Matrix}[]} */
  const pieces = [];
  const own = createPathData();
  for (const [name, ...args] of path) {
    if (name === "text") pieces.push({ d: args[0], matrix: m });
    else if (name === "addPath") pieces.push(...piecesOf(args[0], args[1]));
    else own.calls[name]?.(IDENTITY, ...args);
  }
  const d = own.text();
  return d ? [{ d, matrix: m }, ...pieces] : pieces;
}
