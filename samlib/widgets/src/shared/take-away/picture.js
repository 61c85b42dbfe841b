// A figure's picture as it is seen, as an SVG and as a PNG.

import { svg } from "../dom.js";
import { canvasesIn } from "./canvases.js";
import { drawingsOf, textsOf } from "./capture.js";
import { colourOf } from "./colour.js";
import { compose } from "./composition.js";
import { record } from "./recorder.js";
import { replay } from "./replay.js";
import { vectorOf } from "./vector.js";

/** Around the picture, and pixels of a PNG for each of the page. */
const MARGIN = 16;
const RESOLUTION = 2;

/** The small type: its size, and between its lines. */
const SMALL = { size: 10, line: 14 };

/**
 * @typedef {object} Subject
 * @property {HTMLElement} root of the figure
 * @property {() => void} draw everything, at once
 * @property {string} title
 * @property {string[]} source where the picture is from
 */

/** @typedef {import("./recorder.js").Call[]} Calls */
/** @typedef {{canvas: HTMLCanvasElement, calls: Calls | undefined, x: number, y: number, width: number, height: number}} Drawing */

/** The size, what is drawn on canvases, and where all of it goes. @param {Subject} subject */
function take({ root, draw }) {
  const canvases = canvasesIn(root);
  const recorded = record(canvases, draw);
  // A shader's canvas keeps its picture only until the browser shows it.
  const frozen = new Map(canvases.filter((canvas) => !recorded.get(canvas)?.length).map((canvas) => [canvas, frozenAs(canvas)]));
  const { blocks, width, height } = compose(root);
  const drawings = blocks.flatMap((block) =>
    canvases.filter((canvas) => block.element.contains(canvas)).map((canvas) => {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [Math.round(box.left - block.left) + block.x, Math.round(box.top - block.top) + block.y];
      const place = { x, y, width: box.width, height: box.height };
      return { canvas: frozen.get(canvas) ?? canvas, calls: frozen.has(canvas) ? undefined : recorded.get(canvas), ...place };
    }),
  );
  return { blocks, drawings, width, height };
}

/** @param {HTMLCanvasElement} canvas */
function frozenAs(canvas) {
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  copy.getContext("2d")?.drawImage(canvas, 0, 0);
  return copy;
}

/**
 * The picture around what is drawn on canvases, which `content` makes.
 *
 * @param {Subject} subject @param {ReturnType<typeof take>} taken @param {(drawing: Drawing) => SVGElement[]} content
 * @param {boolean} ground is it painted, too?
 */
function around({ root, title, source }, { blocks, drawings, width, height }, content, ground) {
  const style = getComputedStyle(root);
  const small = source.flatMap((text) => wrapped(text, Math.floor(width / (0.55 * SMALL.size))));
  const whole = { width: Math.ceil(width) + 2 * MARGIN, height: Math.ceil(height) + 2 * MARGIN + 6 + small.length * SMALL.line };
  const parts = blocks.map(({ element, x, y, left, top }) =>
    svg("g", { transform: `translate(${x} ${y})` }, ...drawingsOf(element, { left, top }), ...textsOf(element, { left, top })),
  );
  const notes = small.map((line, i) =>
    svg("text", {
      y: height + 6 + (i + 1) * SMALL.line - 4, fill: colourOf(style.getPropertyValue("--samlib-soft")).colour,
      "font-family": "system-ui, sans-serif", "font-size": SMALL.size,
    }, line),
  ); // prettier-ignore
  const paper = ground ? [svg("rect", { ...whole, fill: colourOf(style.backgroundColor).colour })] : [];
  return svg(
    "svg", { ...whole, viewBox: `0 0 ${whole.width} ${whole.height}` }, svg("title", {}, title), ...paper,
    svg("g", { transform: `translate(${MARGIN} ${MARGIN})` }, ...drawings.flatMap(content), ...parts, ...notes),
  ); // prettier-ignore
}

/** A long address on several lines. @param {string} text @param {number} most characters */
const wrapped = (text, most) => text.match(new RegExp(`.{1,${Math.max(most, 20)}}`, "g")) ?? [];

/** @param {SVGElement} picture */
const written = (picture) => new XMLSerializer().serializeToString(picture);

/** The text of an SVG: curves are paths, texts are texts. @param {Subject} subject */
export function svgOf(subject) {
  const taken = take(subject);
  const picture = around(subject, taken, vectors, true);
  return written(picture);
}

/** @param {Drawing} drawing @returns {SVGElement[]} */
function vectors({ canvas, calls, x, y, width, height }) {
  const drawn = calls && vectorOf(calls, canvas, width / canvas.width);
  if (drawn) return [svg("g", { transform: `translate(${x} ${y})` }, drawn)];
  return [svg("image", { href: canvas.toDataURL(), x, y, width, height })];
}

/** A PNG in twice the page's resolution. @param {Subject} subject @returns {Promise<Blob>} */
export async function pngOf(subject) {
  const taken = take(subject);
  const drawn = taken.drawings.map(({ canvas, calls, width, ...place }) => {
    const scale = (RESOLUTION * width) / canvas.width;
    return { ...place, width, picture: calls ? replay(calls, canvas, scale) : canvas };
  });
  const chrome = around(subject, taken, () => [], false);
  const [width, height] = ["width", "height"].map((name) => RESOLUTION * Number(chrome.getAttribute(name)));
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(written(chrome))}`;
  await image.decode();
  const paper = Object.assign(document.createElement("canvas"), { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (paper.getContext("2d"));
  context.fillStyle = getComputedStyle(subject.root).backgroundColor;
  context.fillRect(0, 0, width, height);
  for (const { picture, x, y, width: w, height: h } of drawn) {
    const [left, top] = [RESOLUTION * (x + MARGIN), RESOLUTION * (y + MARGIN)];
    context.drawImage(picture, left, top, RESOLUTION * w, RESOLUTION * h);
  }
  context.drawImage(image, 0, 0, width, height);
  return new Promise((done, failed) => paper.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture"))), "image/png"));
}
