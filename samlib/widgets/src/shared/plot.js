// Plots: a canvas for what has many points, and over it an SVG for axes, labels and handles.

import { axisBottom, axisLeft } from "d3-axis";
import { select } from "d3-selection";
import { html, svg } from "./dom.js";
import { inHtml, inSvg, plain } from "./subscripts.js";

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
  const marks = svg("g");
  const frame = createAxes(margin.bottom > 30, marks);
  const area = html("div", { class: "samlib-area" }, canvas);
  area.append(frame.root);
  const heading = html("div", { class: "samlib-heading" }, html("span"));
  const el = html("div", { class: `samlib-plot ${className}` }, heading, area);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const size = { width: 0, height: 0, ratio: 1 };
  /** @type {Plot} */
  const plot = {
    el,
    heading,
    context,
    svg: frame.root,
    marks,
    box: NOWHERE,
    ratio: () => size.ratio,
    name(title, xLabel, yLabel) {
      if (!frame.name(title, xLabel, yLabel)) return;
      heading.firstElementChild?.replaceChildren(...inHtml(title));
    },
    clear: () => clear(context, plot.box, size),
    axes: (x, y, options) => frame.draw(x, y, options, plot.box, size),
    dispose: () => observer.disconnect(),
  };

  const observer = new ResizeObserver(() => {
    Object.assign(size, { width: area.clientWidth, height: area.clientHeight });
    plot.box = NOWHERE;
    if (size.width === 0 || size.height === 0) return;
    size.ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.round(size.width * size.ratio);
    canvas.height = Math.round(size.height * size.ratio);
    frame.root.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    plot.box = inside(size, margin, square);
    context.save();
    onResize();
  });
  observer.observe(area);
  return plot;
}

/** The inner rectangle of a plot that is not shown. @type {Box} */
const NOWHERE = { left: 0, right: 0, top: 0, bottom: 0 };

/** @typedef {{width: number, height: number, ratio: number}} Size in CSS pixels, and pixels of the canvas for each */

/** The inner rectangle. @param {Size} size @param {Box} margin @param {boolean} square @returns {Box} */
function inside({ width, height }, margin, square) {
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const side = Math.min(right - margin.left, bottom - margin.top);
  return {
    left: margin.left,
    right: square ? margin.left + side : right,
    top: margin.top,
    bottom: square ? margin.top + side : bottom,
  };
}

/** @param {CanvasRenderingContext2D} context @param {Box} box @param {Size} size */
function clear(context, { left, right, top, bottom }, { width, height, ratio }) {
  context.restore(); // the state before the last clip
  context.save();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
}

/**
 * The SVG over a plot, with its axes and their labels.
 *
 * @param {boolean} below is there room for the label of the axis below its ticks?
 * @param {SVGGElement} marks what lies above the axes
 */
function createAxes(below, marks) {
  const xAxis = svg("g", { class: "samlib-axis", "aria-hidden": "true" });
  const yAxis = svg("g", { class: "samlib-axis", "aria-hidden": "true" });
  const xText = svg("text", { class: "samlib-axis-label", "text-anchor": "end" });
  const yText = svg("text", { class: "samlib-axis-label" });
  const root = svg("svg", { role: "group" }, xAxis, yAxis, xText, yText, marks);
  let drawn = "";
  return {
    root,
    /** Is the name another one? @param {string} title @param {string} xLabel @param {string} yLabel */
    name(title, xLabel, yLabel) {
      const before = [root.getAttribute("aria-label"), xText.textContent, yText.textContent];
      if ([title, xLabel, yLabel].every((text, i) => plain(text) === before[i])) return false;
      root.setAttribute("aria-label", plain(title));
      xText.replaceChildren(...inSvg(xLabel));
      yText.replaceChildren(...inSvg(yLabel));
      return true;
    },
    /** @param {any} x @param {any} y @param {AxisOptions} options @param {Box} box @param {Size} size */
    draw(x, y, { xTicks, yTicks, xFormat, yFormat }, { left, right, top, bottom }, { width, height }) {
      // Axes are dear to draw: only when a domain, a range or a tick is another.
      const key = JSON.stringify([x.domain(), y.domain(), xTicks, yTicks, width, height]);
      if (key === drawn) return;
      drawn = key;
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
}
