// The run: how long the gradient is at each step, and how long its parts along the eigenvectors are.

import { scaleLinear, scaleLog } from "d3-scale";
import { onDrag, partAcross } from "../../shared/drag.js";
import { drawGrid } from "../../shared/drawing.js";
import { decade, number, shortCount, subscript } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { createPlot } from "../../shared/plot.js";

/** @typedef {import("./figure.js").View} View */

/** So many decades are shown; a run that diverges is followed for three. */
const DECADES = 6;
const MOST = 1e3;

/** How the part along v₁, v₂, … is drawn. */
const DASHES = [[], [7, 4], [2, 3], [8, 3, 2, 3]];

/** What separates the right end of the axis from that of the plot, so that the mark is whole. */
const SLACK = 6;

/** Pixels between two lines of text. */
const LINE = 15;

/** @param {View} view */
export function createRun(view) {
  const { world } = view;
  const { state } = world;
  const plot = createPlot({
    className: "samlib-picture samlib-thermostat-run",
    margin: { left: 38, right: 76, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("‖∇L‖ and its parts, step by step", "step", "");
  const labels = createLabels(plot, ["balance", ...state.eigenvalues.map((_, i) => `part-${i}`)]);
  onDrag(plot, (event) => {
    view.pause();
    view.update({ frame: Math.round(partAcross(plot, event, SLACK) * state.steps) });
  });

  /** @param {number} i @param {number} t */
  const part = (i, t) => Math.abs(world.gradients[t * world.dim() + i]);

  /** A line up to the step shown, and faintly on to the end. @param {(t: number) => number} height @param {number} width @param {string} colour @param {number[]} dash @param {(t: number) => number} x */
  function trail(height, width, colour, dash, x) {
    const { context } = plot;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    for (const [from, to, alpha] of [[0, state.frame, 1], [state.frame, state.steps, 0.3]]) {
      context.globalAlpha = alpha;
      context.beginPath();
      for (let t = from; t <= to; t++) {
        const y = height(t);
        if (Number.isFinite(y)) context.lineTo(x(t), y);
      }
      context.stroke();
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  } // prettier-ignore

  function draw() {
    const { box, context } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    plot.clear();
    const top = topOf(world.norms, world.balance);
    const x = scaleLinear([0, state.steps], [box.left, box.right - SLACK]);
    const y = scaleLog([top / 10 ** DECADES, top], [box.bottom, box.top]);
    const height = (/** @type {number} */ v) => (v > 0 && Number.isFinite(v) ? Math.max(y(v), box.top - 20) : NaN);
    const yTicks = Array.from({ length: DECADES / 2 + 1 }, (_, k) => top / 10 ** (2 * k));
    drawGrid(plot, colours, y, yTicks, x(state.frame));
    drawBalance(y);
    const largest = Math.max(...state.eigenvalues);
    state.eigenvalues.forEach((lambda, i) => {
      const colour = lambda === largest ? colours.eigenvector : colours.faint;
      trail((t) => height(part(i, t)), 2, colour, DASHES[world.ranks[i] - 1], x);
    });
    trail((t) => height(world.norms[t]), 4, colours.sam, [], x);
    context.fillStyle = colours.sam;
    context.beginPath();
    context.arc(x(state.frame), height(world.norm()), 5.5, 0, 7);
    context.fill();
    writeParts(height);
    const xTicks = x.ticks(4).filter(Number.isInteger);
    plot.axes(x, y, { xTicks, yTicks, xFormat: shortCount, yFormat: decade });
  }

  /** @param {(v: number) => number} y */
  function drawBalance(y) {
    const { context, box } = plot;
    const none = !(world.balance > 0);
    labels.hide("balance", none);
    if (none) return;
    context.strokeStyle = view.colours.ink;
    context.lineWidth = 1.25;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(box.left, y(world.balance));
    context.lineTo(box.right, y(world.balance));
    context.stroke();
    context.setLineDash([]);
    labels.put("balance", box.right - 4, Math.max(y(world.balance) - 6, box.top + 12), "balance", "end");
  }

  /** Each part's name, and what the next step multiplies it by. @param {(v: number) => number} height */
  function writeParts(height) {
    const { box } = plot;
    const wanted = state.eigenvalues
      .map((_, i) => {
        const at = height(part(i, state.frame));
        return { i, at: Number.isNaN(at) ? box.bottom : Math.min(Math.max(at, box.top + 5), box.bottom) };
      })
      .sort((a, b) => a.at - b.at);
    spread(wanted, box.bottom);
    for (const { i, at } of wanted) {
      const m = world.multiplier(state.eigenvalues[i]);
      const text = Math.abs(m) < 100 ? ` × ${m.toFixed(2).replace("-", "−")}` : "";
      labels.put(`part-${i}`, box.right + 6, at + 4, `v${subscript(world.ranks[i])}${text}`, "start");
    }
  }

  return { plot, draw };
}

/** The power of ten above the run. @param {Float64Array} norms @param {number} balance */
function topOf(norms, balance) {
  const first = norms[0] > 0 ? norms[0] : 1;
  const level = balance > 0 ? Math.max(first, balance) : first;
  const highest = norms.reduce((a, b) => (Number.isFinite(b) && b > a ? b : a), level);
  return 10 ** Math.ceil(Math.log10(1.1 * Math.min(highest, MOST * level)));
}

/** Push labels apart, from below upwards and then back. @param {{at: number}[]} labels ascending @param {number} bottom */
function spread(labels, bottom) {
  for (let k = 1; k < labels.length; k++) labels[k].at = Math.max(labels[k].at, labels[k - 1].at + LINE);
  let floor = bottom;
  for (let k = labels.length - 1; k >= 0; k--, floor -= LINE) labels[k].at = Math.min(labels[k].at, floor);
}
