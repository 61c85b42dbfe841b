// A recorded drawing as SVG.

import { freshId, svg } from "../dom.js";
import { colourOf } from "./colour.js";
import { IDENTITY, scaleOf, times, transformOf } from "./matrix.js";
import { painterOf } from "./painters.js";
import { createPathData, piecesOf } from "./path-data.js";
import { callsOf } from "./recorded-path.js";
import { createSheet } from "./sheet.js";

/** @typedef {import("./matrix.js").Matrix} Matrix */
/** @typedef {ReturnType<typeof createPen>} Pen */

/** What a context is when it is new. */
const FRESH = {
  matrix: IDENTITY, fillStyle: "#000000", strokeStyle: "#000000", lineWidth: 1, lineCap: "butt", lineJoin: "miter",
  globalAlpha: 1, lineDashOffset: 0, font: "10px sans-serif", textAlign: "start", textBaseline: "alphabetic",
  imageSmoothingEnabled: true, dash: /** @type {number[]} */ ([]), clip: "",
}; // prettier-ignore

/** Where the names of texts' alignments are others. @type {Record<string, string>} */
const ANCHORS = { center: "middle", right: "end", end: "end" };
/** @type {Record<string, string>} */
const BASELINES = { middle: "central", top: "text-before-edge", bottom: "text-after-edge" };

/**
 * @param {import("./recorder.js").Call[]} calls @param {{width: number, height: number}} canvas in its own pixels
 * @param {number} scale user units for each pixel of the canvas
 * @returns {SVGGElement | null} null where something was drawn that this has no word of SVG for
 */
export function vectorOf(calls, canvas, scale) {
  const pen = createPen(canvas, [scale, 0, 0, scale, 0, 0]);
  for (const [name, ...args] of calls) {
    if (name === "=") set(pen, args[0], args[1]);
    else if (Object.hasOwn(CALLS, name)) CALLS[name](pen, ...args);
    else pen.lost = true;
    if (pen.lost) return null;
  }
  return pen.sheet.group;
}

/** @param {{width: number, height: number}} canvas @param {Matrix} base */
function createPen(canvas, base) {
  const now = { ...FRESH, matrix: base };
  const saved = /** @type {(typeof now)[]} */ ([]);
  return { canvas, base, now, saved, path: createPathData(), sheet: createSheet(), lost: false };
}

/** @param {Pen} pen @param {string} name @param {any} value */
function set(pen, name, value) {
  if (!Object.hasOwn(FRESH, name) || typeof value === "object") pen.lost = true;
  else pen.now = { ...pen.now, [name]: value };
}

/** @param {Pen} pen @param {Matrix} matrix */
const see = (pen, matrix) => void (pen.now = { ...pen.now, matrix: times(pen.now.matrix, matrix) });

/** @param {Pen} pen @param {string} style */
function paintOf({ now }, style) {
  const { colour, opacity } = colourOf(style);
  const alpha = Number((opacity * now.globalAlpha).toFixed(4));
  return { colour, alpha: alpha < 1 ? alpha : undefined };
}

/** @param {Pen} pen @param {string} d @param {Matrix} seen @param {string} [rule] */
function fill(pen, d, seen, rule) {
  const { colour, alpha } = paintOf(pen, pen.now.fillStyle);
  pen.sheet.putPath(pen.now.clip, d, {
    transform: transformOf(seen), fill: colour, "fill-opacity": alpha,
    "fill-rule": rule === "evenodd" ? rule : undefined,
  }); // prettier-ignore
}

/** @param {Pen} pen @param {string} d @param {Matrix} seen @param {number} larger by how much d has grown already */
function stroke(pen, d, seen, larger) {
  const { now } = pen;
  const { colour, alpha } = paintOf(pen, now.strokeStyle);
  const size = (/** @type {number} */ v) => Number((v * larger).toPrecision(6));
  pen.sheet.putPath(now.clip, d, {
    transform: transformOf(seen), stroke: colour, "stroke-opacity": alpha, "stroke-width": size(now.lineWidth),
    "stroke-dasharray": now.dash.length ? now.dash.map(size).join(" ") : undefined,
    "stroke-dashoffset": size(now.lineDashOffset) || undefined,
    "stroke-linecap": now.lineCap === "butt" ? undefined : now.lineCap,
    "stroke-linejoin": now.lineJoin === "miter" ? undefined : now.lineJoin,
    "stroke-miterlimit": now.lineJoin === "miter" ? 10 : undefined, // a canvas' own
  }); // prettier-ignore
}

/** What is filled or drawn around: a path that is given, or the one drawn here. @param {Pen} pen @param {unknown} given */
function shapesOf(pen, given) {
  if (!(given instanceof Path2D)) return [{ d: pen.path.text(), seen: IDENTITY, larger: scaleOf(pen.now.matrix) }];
  const calls = callsOf(given);
  if (!calls) pen.lost = true;
  return piecesOf(calls ?? []).map(({ d, matrix }) => ({ d, seen: times(pen.now.matrix, matrix), larger: 1 }));
}

/** @param {Pen} pen @param {number[]} box */
function outline({ now }, box) {
  const path = createPathData();
  path.calls.rect(now.matrix, ...box);
  return path.text();
}

/** @param {Pen} pen @param {any} image @param {number[]} where */
function putImage(pen, image, [x, y, width = image.width, height = image.height, ...more]) {
  const seen = times(pen.now.matrix, [width / image.width, 0, 0, height / image.height, x, y]);
  const paint = painterOf(image);
  if (more.length > 0 || !(paint || image instanceof HTMLCanvasElement)) pen.lost = true;
  else if (paint) {
    const inner = createPen(image, seen);
    paint(/** @type {any} */ (paperOf(inner)));
    pen.lost ||= inner.lost;
    pen.sheet.put(pen.now.clip, inner.sheet.group);
  } else {
    const { globalAlpha, imageSmoothingEnabled, clip } = pen.now;
    pen.sheet.put(clip, svg("image", {
      href: image.toDataURL(), width: image.width, height: image.height, transform: transformOf(seen),
      opacity: globalAlpha < 1 ? globalAlpha : undefined,
      style: imageSmoothingEnabled ? undefined : "image-rendering:pixelated",
    })); // prettier-ignore
  }
}

/** A pen as a painter wants it: something with a canvas' methods and properties. @param {Pen} pen */
const paperOf = (pen) =>
  new Proxy({}, {
    get: (_, name) => (/** @type {any[]} */ ...args) => CALLS[String(name)](pen, ...args),
    set(_, name, value) {
      set(pen, String(name), value);
      return true;
    },
  }); // prettier-ignore

/** @type {Record<string, (pen: Pen, ...args: any[]) => void>} */
const CALLS = {
  save: (pen) => pen.saved.push(pen.now),
  restore: (pen) => (pen.now = pen.saved.pop() ?? pen.now),
  beginPath: (pen) => pen.path.begin(),
  setLineDash: (pen, dash) => (pen.now = { ...pen.now, dash }),
  fill(pen, first, second) {
    const rule = typeof first === "string" ? first : second;
    for (const { d, seen } of shapesOf(pen, first)) fill(pen, d, seen, rule);
  },
  stroke(pen, given) {
    for (const { d, seen, larger } of shapesOf(pen, given)) stroke(pen, d, seen, larger);
  },
  clip(pen) {
    const id = freshId("samlib-clip");
    const outer = pen.now.clip ? `url(#${pen.now.clip})` : undefined;
    pen.sheet.group.append(svg("clipPath", { id, "clip-path": outer }, svg("path", { d: pen.path.text() })));
    pen.now = { ...pen.now, clip: id };
  },
  clearRect(pen, x, y, width) {
    // Of the whole canvas, below which there is nothing.
    const whole = width * scaleOf(pen.now.matrix) > 0.99 * pen.canvas.width * scaleOf(pen.base);
    if (!whole && !pen.sheet.isEmpty()) pen.lost = true;
    pen.sheet.clear();
  },
  fillRect: (pen, ...box) => fill(pen, outline(pen, box), IDENTITY),
  strokeRect: (pen, ...box) => stroke(pen, outline(pen, box), IDENTITY, scaleOf(pen.now.matrix)),
  fillText(pen, text, x, y) {
    const { clip, fillStyle, font, textAlign, textBaseline, matrix } = pen.now;
    const { colour, alpha } = paintOf(pen, fillStyle);
    pen.sheet.put(clip, svg("text", {
      x, y, fill: colour, "fill-opacity": alpha, transform: transformOf(matrix), style: `font:${font}`,
      "text-anchor": ANCHORS[textAlign], "dominant-baseline": BASELINES[textBaseline],
    }, text)); // prettier-ignore
  },
  drawImage: (pen, image, ...where) => putImage(pen, image, where),
  translate: (pen, x, y) => see(pen, [1, 0, 0, 1, x, y]),
  scale: (pen, x, y) => see(pen, [x, 0, 0, y, 0, 0]),
  rotate: (pen, r) => see(pen, [Math.cos(r), Math.sin(r), -Math.sin(r), Math.cos(r), 0, 0]),
  transform: (pen, ...m) => see(pen, /** @type {any} */ (m)),
  resetTransform: (pen) => (pen.now = { ...pen.now, matrix: pen.base }),
  setTransform(pen, ...m) {
    CALLS.resetTransform(pen);
    see(pen, /** @type {any} */ (m.length === 6 ? m : ["a", "b", "c", "d", "e", "f"].map((name) => m[0][name])));
  },
  ...Object.fromEntries(
    ["moveTo", "lineTo", "quadraticCurveTo", "bezierCurveTo", "closePath", "rect", "arc", "ellipse"].map((name) => [
      name, (/** @type {Pen} */ { path, now }, /** @type {any[]} */ ...args) => path.calls[name](now.matrix, ...args),
    ]),
  ),
}; // prettier-ignore
