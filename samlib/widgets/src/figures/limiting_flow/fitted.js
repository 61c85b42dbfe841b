// What the network computes between its data points, as gradient descent had fitted it and now.

import { scaleLinear } from "d3-scale";
import { drawGrid } from "../../shared/drawing.js";
import { number, subscript } from "../../shared/format.js";
import { DASHES, onCanvas } from "../../shared/marks.js";
import { createPanel, pen } from "./panel.js";

/** Points of the function between two data points. */
const BETWEEN = 16;

/** @typedef {import("../../dynamics/network.js").Network} Network */

/** @param {import("./figure.js").View} view */
export function createFitted(view) {
  const { bench } = view;
  const plot = createPanel(view, "Fitted function", "");
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { course, ground, settings } = bench;
    plot.clear();
    if (!course || !ground || !settings) return;
    const { stops, outputs } = tourOf(ground.network);
    const n = bench.shown();
    const before = outputs(ground.fitted);
    const now = outputs(course.x.subarray(n * ground.fitted.length, (n + 1) * ground.fitted.length));
    const { x, y } = scales(stops, [...ground.network.targets, ...before.map(([, f]) => f)]);
    const yTicks = y.ticks(4);
    drawGrid(plot, colours, y, yTicks, -10);
    context.strokeStyle = colours.gradient_descent;
    context.lineWidth = 1.75;
    context.setLineDash(DASHES.gradient_descent);
    trace(before, x, y);
    pen(view, context, settings.batch_size);
    if (!bench.diverged(n)) trace(now, x, y);
    context.setLineDash([]);
    context.fillStyle = colours.ink;
    for (const [k, stop] of stops.entries()) {
      context.beginPath();
      context.arc(x(stop), y(ground.network.targets[k]), 3.5, 0, 2 * Math.PI);
      context.fill();
    }
    plot.axes(x, y, {
      xTicks: stops, yTicks, yFormat: number, xFormat: (s) => `s${subscript(stops.indexOf(s) + 1)}`,
    }); // prettier-ignore
  }

  /** @param {number[]} stops @param {number[]} heights */
  function scales(stops, heights) {
    const { box } = plot;
    const low = Math.min(...heights);
    const high = Math.max(...heights);
    const margin = 0.15 * (high - low);
    return {
      x: scaleLinear([-0.3, stops[stops.length - 1] + 0.3], [box.left, box.right]),
      y: scaleLinear([low - margin, high + margin], [box.bottom, box.top]),
    };
  }

  /** @param {[number, number][]} values @param {(v: number) => number} x @param {(v: number) => number} y */
  function trace(values, x, y) {
    context.beginPath();
    for (const [s, f] of values) context.lineTo(x(s), onCanvas(y(f)) || 0);
    context.stroke();
  }

  return { plot, draw };
}

/** The tour from data point to data point, and where on it they are. @param {Network} network */
function tourOf(network) {
  const { features, inputs, points } = network;
  const row = (/** @type {number} */ k) => inputs.subarray(k * features, (k + 1) * features);
  const stops = [0];
  for (let k = 1; k < points; k++) {
    stops.push(stops[k - 1] + Math.hypot(...row(k).map((v, i) => v - row(k - 1)[i])));
  }
  const s = new Float64Array(features);
  /** @param {Float64Array} x @returns {[number, number][]} */
  const outputs = (x) =>
    Array.from({ length: (points - 1) * BETWEEN + 1 }, (_, j) => {
      const k = Math.min(Math.floor(j / BETWEEN), points - 2);
      const t = j / BETWEEN - k;
      for (let i = 0; i < features; i++) s[i] = (1 - t) * row(k)[i] + t * row(k + 1)[i];
      return [(1 - t) * stops[k] + t * stops[k + 1], network.output(x, s)];
    });
  return { stops, outputs };
}
