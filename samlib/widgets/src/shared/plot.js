// Plots: a canvas for what has many points, and over it an SVG for axes, labels and handles.

import { axisBottom, axisLeft } from "d3-axis";
import { select } from "d3-selection";
import { html, svg } from "./dom.js";
import { HEAD } from "./samples.js";

/** @typedef {{left: number, right: number, top: number, bottom: number}} Box */

/**
 * @typedef {object} Plot
 * @property {HTMLElement} el
 * @property {HTMLElement} heading
 * @property {CanvasRenderingContext2D} context
 * @property {SVGSVGElement} svg
 * @property {SVGGElement} marks where labels and handles go, above the axes
 * @property {Box} box the inner rectangle, in px; empty while the plot is not shown
 * @property {() => number} ratio pixels of the canvas per CSS pixel
 * @property {(title: string, xLabel: string, yLabel: string) => void} name
 * @property {() => void} clear wipes the canvas and clips to the inner rectangle
 * @property {(x: any, y: any, options: AxisOptions) => void} axes draws the axes if they changed
 * @property {() => void} dispose
 */

/**
 * @typedef {object} AxisOptions
 * @property {number[]} xTicks
 * @property {number[]} yTicks
 * @property {(value: number) => string} xFormat
 * @property {(value: number) => string} yFormat
 */

/**
 * @param {{className: string, margin: Box, square?: boolean, onResize: () => void}} options
 *   the margins around the inner rectangle; is that to be a square?
 * @returns {Plot}
 */
export function createPlot({ className, margin, square = false, onResize }) {
  const canvas = html("canvas", { "aria-hidden": "true" });
  const xAxis = svg("g", { class: "samlib-axis", "aria-hidden": "true" });
  const yAxis = svg("g", { class: "samlib-axis", "aria-hidden": "true" });
  const xText = svg("text", { class: "samlib-axis-label", "text-anchor": "end" });
  const yText = svg("text", { class: "samlib-axis-label" });
  const below = margin.bottom > 30; // is there room for the label below the ticks?
  const marks = svg("g");
  const root = svg("svg", { role: "group" }, xAxis, yAxis, xText, yText, marks);
  const area = html("div", { class: "samlib-area" }, canvas);
  area.append(root);
  const heading = html("div", { class: "samlib-heading" }, html("span"));
  const el = html("div", { class: `samlib-plot ${className}` }, heading, area);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

  let width = 0;
  let height = 0;
  let ratio = 1;
  let drawn = "";
  /** @type {Plot} */
  const plot = {
    el,
    heading,
    context,
    svg: root,
    marks,
    box: { left: 0, right: 0, top: 0, bottom: 0 },
    ratio: () => ratio,
    name(title, xLabel, yLabel) {
      if (title === root.getAttribute("aria-label") && xLabel === xText.textContent) return;
      root.setAttribute("aria-label", title);
      /** @type {HTMLElement} */ (heading.firstElementChild).textContent = title;
      xText.textContent = xLabel;
      yText.textContent = yLabel;
    },
    clear() {
      const { left, right, top, bottom } = plot.box;
      context.restore(); // the state before the last clip
      context.save();
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      context.beginPath();
      context.rect(left, top, right - left, bottom - top);
      context.clip();
    },
    dispose: () => observer.disconnect(),
    axes(x, y, { xTicks, yTicks, xFormat, yFormat }) {
      // Axes are dear to draw: only when a domain, a range or a tick is another.
      const key = JSON.stringify([x.domain(), y.domain(), xTicks, yTicks, width, height]);
      if (key === drawn) return;
      drawn = key;
      const { left, right, top, bottom } = plot.box;
      const bottomAxis = axisBottom(x).tickValues(xTicks).tickFormat((v) => xFormat(Number(v)));
      const leftAxis = axisLeft(y).tickValues(yTicks).tickFormat((v) => yFormat(Number(v)));
      xAxis.setAttribute("transform", `translate(0,${bottom})`);
      yAxis.setAttribute("transform", `translate(${left},0)`);
      select(xAxis).call(bottomAxis.tickSize(4).tickPadding(4));
      select(yAxis).call(leftAxis.tickSize(4).tickPadding(4));
      xText.setAttribute("transform", `translate(${right - (below ? 0 : 6)},${bottom + (below ? 34 : -6)})`);
      yText.setAttribute("transform", `translate(${left + 6},${top + 12})`);
    },
  };

  const observer = new ResizeObserver(() => {
    width = area.clientWidth;
    height = area.clientHeight;
    plot.box = { left: 0, right: 0, top: 0, bottom: 0 };
    if (width === 0 || height === 0) return;
    ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const right = width - margin.right;
    const bottom = height - margin.bottom;
    const side = Math.min(right - margin.left, bottom - margin.top);
    plot.box = {
      left: margin.left,
      right: square ? margin.left + side : right,
      top: margin.top,
      bottom: square ? margin.top + side : bottom,
    };
    context.save();
    onResize();
  });
  observer.observe(area);
  return plot;
}

/**
 * Trace sampled points: the first ones joined one to the next, then each branch of the two-cycle by
 * itself. Points that are not finite interrupt the line.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {ArrayLike<number>} px @param {ArrayLike<number>} py positions in pixels
 * @param {number} count how many samples
 */
export function traceBranches(context, px, py, count) {
  context.beginPath();
  traceLine(context, px, py, 0, Math.min(count, HEAD), 1);
  traceLine(context, px, py, HEAD - 2, count, 2);
  traceLine(context, px, py, HEAD - 1, count, 2);
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context @param {ArrayLike<number>} px
 * @param {ArrayLike<number>} py @param {number} from @param {number} to @param {number} stride
 */
function traceLine(context, px, py, from, to, stride) {
  let down = false;
  for (let i = from; i < to; i += stride) {
    const x = px[i];
    const y = py[i];
    if (!(Number.isFinite(x) && Number.isFinite(y))) {
      down = false;
      continue;
    }
    if (down) context.lineTo(x, y);
    else context.moveTo(x, y);
    down = true;
  }
}

/**
 * An arrow from (x, y) by (dx, dy).
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} x @param {number} y @param {number} dx @param {number} dy
 * @param {string} colour @param {number} weight
 */
export function arrow(context, x, y, dx, dy, colour, weight) {
  const length = Math.hypot(dx, dy);
  if (!(length > 0.5)) return;
  const head = Math.min(4 + 2.2 * weight, length);
  const ux = dx / length;
  const uy = dy / length;
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = weight;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + dx - ux * head * 0.8, y + dy - uy * head * 0.8);
  context.stroke();
  context.beginPath();
  context.moveTo(x + dx, y + dy);
  context.lineTo(x + dx - ux * head - uy * head * 0.5, y + dy - uy * head + ux * head * 0.5);
  context.lineTo(x + dx - ux * head + uy * head * 0.5, y + dy - uy * head - ux * head * 0.5);
  context.closePath();
  context.fill();
}

/**
 * A diamond, the mark of a prediction.
 *
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y
 * @param {number} size @param {string} colour
 */
export function diamond(context, x, y, size, colour) {
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.closePath();
  context.strokeStyle = colour;
  context.lineWidth = 1.75;
  context.setLineDash([]);
  context.stroke();
}

/**
 * Horizontal lines at the ticks, and a vertical one at the step shown.
 *
 * @param {Plot} plot @param {import("./theme.js").Palette} colours @param {(value: number) => number} y
 * @param {number[]} yTicks @param {number} here in pixels
 */
export function drawGrid({ context, box }, colours, y, yTicks, here) {
  context.lineWidth = 1;
  context.strokeStyle = colours.line;
  context.beginPath();
  for (const tick of yTicks) {
    context.moveTo(box.left, Math.round(y(tick)) + 0.5);
    context.lineTo(box.right, Math.round(y(tick)) + 0.5);
  }
  context.stroke();
  context.strokeStyle = colours.soft;
  context.beginPath();
  context.moveTo(here, box.top);
  context.lineTo(here, box.bottom);
  context.stroke();
}

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

/** The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is ≥ value. @param {number} value */
export function niceCeil(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8]) if (step * power >= value * (1 - 1e-9)) return step * power;
  return 10 * power;
}

/**
 * Text over a plot.
 *
 * @param {Plot} plot @param {string[]} names
 */
export function createLabels(plot, names) {
  const texts = new Map(
    names.map((name) => [name, svg("text", { class: "samlib-mark", "aria-hidden": "true" })]),
  );
  plot.marks.append(...texts.values());
  return {
    /** @param {string} name @param {boolean} hidden */
    hide: (name, hidden) => texts.get(name)?.toggleAttribute("hidden", hidden),
    /**
     * @param {string} name @param {number} x @param {number} y @param {string} text
     * @param {"start" | "middle" | "end"} anchor
     */
    put(name, x, y, text, anchor) {
      const label = /** @type {SVGTextElement} */ (texts.get(name));
      label.setAttribute("transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
      label.setAttribute("text-anchor", anchor);
      if (label.textContent !== text) label.textContent = text;
    },
  };
}
