// What a page shows, as SVG: its texts where they stand, its SVGs with the styles that they have on the page.

import { svg } from "../dom.js";
import { colourOf } from "./colour.js";

/** @typedef {{left: number, top: number}} Origin on the screen, of what is captured */

/** Attributes that say what a shape is; how it looks, its style says. */
const SHAPE = new Set([
  "id", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "cx", "cy", "r", "rx", "ry", "width", "height", "points",
  "viewBox", "href", "offset", "text-anchor", "clip-path", "preserveAspectRatio",
]); // prettier-ignore

/** Where these have such values, they say nothing. @type {Record<string, string>} */
const LOOKS = {
  "stroke-width": "1px", "stroke-dasharray": "none", "stroke-linecap": "butt", "stroke-linejoin": "miter", opacity: "1",
}; // prettier-ignore

/** Controls, what only a screen reader reads, and an entry of the legend that is switched off. */
const NOTHING = "button, input, select, textarea, script, .samlib-hidden, li:has(input:not(:checked))";

const ruler = /** @type {CanvasRenderingContext2D} */ (globalThis.document?.createElement("canvas").getContext("2d"));

/** @param {CSSStyleDeclaration} style */
const fontOf = ({ fontSize, fontWeight, fontStyle, fontFamily }) => ({
  "font-family": fontFamily.replaceAll('"', "'"),
  "font-size": fontSize,
  "font-weight": fontWeight === "400" ? undefined : fontWeight,
  "font-style": fontStyle === "normal" ? undefined : fontStyle,
});

/** @param {"fill" | "stroke"} name @param {string} css @param {string} [opacity] */
function paintOf(name, css, opacity = "1") {
  const paint = colourOf(css);
  const alpha = paint.opacity * Number(opacity);
  return { [name]: paint.opacity === 0 ? "none" : paint.colour, [`${name}-opacity`]: alpha < 1 ? alpha : undefined };
}

/**
 * An SVG of the page with everything that its style sheets say of it.
 *
 * @param {Element} source @returns {SVGElement | null} null where nothing is seen
 */
export function styled(source) {
  const style = getComputedStyle(source);
  if (style.display === "none" || style.visibility === "hidden" || style.opacity === "0") return null;
  const tag = /** @type {keyof SVGElementTagNameMap} */ (source.localName);
  const copy = svg(tag);
  for (const { name, value } of source.attributes) if (SHAPE.has(name)) copy.setAttribute(name, value);
  if (style.transform !== "none") copy.setAttribute("transform", style.transform);
  dress(copy, style, tag === "g" || tag === "svg");
  for (const child of source.childNodes) {
    if (child instanceof Text) copy.append(child.data);
    const inner = child instanceof Element && styled(child);
    if (inner) copy.append(inner);
  }
  if (tag === "text") return withHalo(copy, style);
  if (tag === "tspan") return copy;
  const empty = copy.getAttribute("fill") === "none" && copy.getAttribute("stroke") === "none";
  return empty && copy.childElementCount === 0 ? null : copy;
}

/** @param {SVGElement} copy @param {CSSStyleDeclaration} style @param {boolean} group */
function dress(copy, style, group) {
  const looks = Object.entries(LOOKS).filter(([name, usual]) => style.getPropertyValue(name) !== usual);
  const all = group
    ? { opacity: style.opacity === "1" ? undefined : style.opacity }
    : {
        ...Object.fromEntries(looks.map(([name]) => [name, style.getPropertyValue(name).replaceAll("px", "")])),
        ...paintOf("fill", style.fill, style.fillOpacity),
        ...paintOf("stroke", style.stroke, style.strokeOpacity),
        ...(copy.localName === "text" || copy.localName === "tspan" ? { ...fontOf(style), "text-anchor": anchorOf(style) } : {}),
      };
  for (const [name, value] of Object.entries(all)) if (value !== undefined) copy.setAttribute(name, String(value));
}

/** @param {CSSStyleDeclaration} style */
const anchorOf = ({ textAnchor }) => (textAnchor === "start" ? undefined : textAnchor);

/** The halo of a text as a text of its own, below it: few programs know paint-order. @param {SVGElement} text @param {CSSStyleDeclaration} style */
function withHalo(text, style) {
  if (!style.paintOrder.startsWith("stroke") || text.getAttribute("stroke") === "none" || !text.textContent) return text;
  const halo = /** @type {SVGElement} */ (text.cloneNode(true));
  halo.setAttribute("aria-hidden", "true");
  for (const part of [text, ...text.querySelectorAll("tspan")]) {
    for (const name of part.getAttributeNames()) if (name.startsWith("stroke")) part.removeAttribute(name);
  }
  return svg("g", {}, halo, text);
}

/**
 * The texts of the page below an element, line by line where they are.
 *
 * @param {Element} element @param {Origin} origin @returns {SVGElement[]}
 */
export function textsOf(element, origin) {
  const found = [];
  const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = /** @type {Text} */ (walk.currentNode);
    const parent = /** @type {Element} */ (node.parentElement);
    if (!node.data.trim() || parent.closest(NOTHING) || parent.closest("svg") || !parent.getClientRects().length) continue;
    const style = getComputedStyle(parent);
    const font = fontOf(style);
    ruler.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = ruler.measureText(node.data);
    for (const { text, left, middle } of linesOf(node)) {
      const [x, y] = [left - origin.left, middle + (up - down) / 2 - origin.top].map((v) => Number(v.toFixed(2)));
      found.push(svg("text", { x, y, ...paintOf("fill", style.color), ...font }, text));
    }
  }
  return found;
}

/** What stands on each line. @param {Text} node */
function linesOf(node) {
  /** @type {{text: string, left: number, middle: number}[]} */
  const lines = [];
  const range = document.createRange();
  let [at, end] = [0, 0];
  for (const letter of node.data) {
    [at, end] = [end, end + letter.length];
    range.setStart(node, at);
    range.setEnd(node, end);
    const box = range.getClientRects()[0];
    const last = lines.at(-1);
    const middle = box && (box.top + box.bottom) / 2;
    if (last && (!box || Math.abs(middle - last.middle) < 3)) last.text += letter;
    else if (box) lines.push({ text: letter, left: box.left, middle });
  }
  return lines.map((line) => ({ ...line, text: line.text.replace(/\s+/g, " ").trimEnd() })).filter(({ text }) => text);
}

/** The SVGs of the page in an element that are no part of another, where they are. @param {Element} element @param {Origin} origin */
export function drawingsOf(element, origin) {
  const found = [];
  for (const source of element.querySelectorAll("svg")) {
    if (source.closest(NOTHING) || source.parentElement?.closest("svg") || !source.getClientRects().length) continue;
    const copy = styled(source);
    if (!copy) continue;
    const { left, top, width, height } = source.getBoundingClientRect();
    const place = { x: left - origin.left, y: top - origin.top, width, height, overflow: "visible" };
    for (const [name, value] of Object.entries(place)) copy.setAttribute(name, String(value));
    found.push(copy);
  }
  return found;
}
