// How far runs were from their flow, against ρ or η.

import { scaleLog } from "d3-scale";
import { onDrag } from "../../shared/drag.js";
import { drawGrid } from "../../shared/drawing.js";
import { decade } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { SLACK, createPanel } from "./panel.js";
import { settingsOf } from "./bench.js";
import { flowsOf } from "./training.js";

/** @typedef {import("../../dynamics/gamma.js").Regularizer} Regularizer */
/** @typedef {import("./bench.js").Trial} Trial */
/** @typedef {import("d3-scale").ScaleLogarithmic<number, number>} Scale */

/** The distances to the flow that are drawn; smaller ones stand at the bottom. */
const ERRORS = { low: 2e-4, high: 1, ticks: [1e-3, 1e-2, 1e-1, 1] };

/** @param {import("./figure.js").View} view @param {"rho" | "lr"} trait @param {string} symbol */
export function createDistances(view, trait, symbol) {
  const { bench } = view;
  const plot = createPanel(view, `Distance to the flow, against ${symbol}`, symbol);
  plot.svg.classList.add("samlib-scrubbed");
  plot.el.dataset.history = ""; // it shows earlier runs, too
  const other = trait === "rho" ? "lr" : "rho";
  onDrag(plot, (event) => {
    const { box, svg } = plot;
    const at = event.clientX - svg.getBoundingClientRect().left;
    const x = scaleLog(view.config.sliders[trait], [box.left + SLACK, box.right - SLACK]).clamp(true);
    view.update({ [trait]: Number(x.invert(at).toPrecision(2)) });
  });
  const labels = createLabels(plot, ["guide"]);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, state, config } = view;
    const [low, high] = config.sliders[trait];
    plot.clear();
    const x = scaleLog([low, high], [box.left + SLACK, box.right - SLACK]);
    const y = scaleLog([ERRORS.low, ERRORS.high], [box.bottom, box.top]).clamp(true);
    drawGrid(plot, colours, y, ERRORS.ticks, x(state[trait]));
    plot.axes(x, y, {
      xTicks: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].filter((v) => v >= low && v <= high), yTicks: ERRORS.ticks,
      xFormat: decade, yFormat: (v) => `${decade(100 * v)} %`,
    }); // prettier-ignore
    const { flow } = settingsOf(state);
    const shown = bench.trials.filter(
      (t) =>
        t.network === state.network && t.time === state.time && t.batch_size === state.batch_size && t.flow === flow,
    );
    const now = shown.find((t) => t.rho === state.rho && t.lr === state.lr && t.seed === state.seed);
    drawGuide(now, x, y);
    for (const name of flowsOf(state.batch_size)) drawTrials(name, shown, now, x, y);
  }

  /** @param {Regularizer} name @param {Trial[]} shown @param {Trial | undefined} now @param {Scale} x @param {Scale} y */
  function drawTrials(name, shown, now, x, y) {
    const { colours, state } = view;
    const line = shown.filter((t) => t[other] === state[other] && t.seed === state.seed);
    line.sort((a, b) => a[trait] - b[trait]);
    context.strokeStyle = context.fillStyle = name === "trace" ? colours.average : colours.worst;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const t of line) if (Number.isFinite(t[name])) context.lineTo(x(t[trait]), y(t[name]));
    context.stroke();
    for (const t of shown) {
      if (!Number.isFinite(t[name])) continue;
      const own = t[other] === state[other];
      context.globalAlpha = own ? 1 : 0.5;
      drawTrial(x(t[trait]), y(t[name]), name, own, t === now);
    }
    context.globalAlpha = 1;
  }

  /** @param {number} px @param {number} py @param {Regularizer} name @param {boolean} own @param {boolean} current */
  function drawTrial(px, py, name, own, current) {
    const r = own ? 4 : 2.5;
    context.beginPath();
    if (name === "trace") {
      context.moveTo(px, py - 1.3 * r);
      context.lineTo(px + 1.2 * r, py + r);
      context.lineTo(px - 1.2 * r, py + r);
      context.closePath();
    } else context.arc(px, py, r, 0, 2 * Math.PI);
    context.lineWidth = 1.25;
    if (own) context.fill();
    else context.stroke();
    if (!current) return;
    context.beginPath();
    context.arc(px, py, 2 * r, 0, 2 * Math.PI);
    context.save();
    context.strokeStyle = view.colours.ink;
    context.lineWidth = 1.5;
    context.stroke();
    context.restore();
  }

  /**
   * The line of slope one through the present run: what an error in proportion to ρ or η does.
   *
   * @param {Trial | undefined} now @param {Scale} x @param {Scale} y
   */
  function drawGuide(now, x, y) {
    const { box } = plot;
    const [low, high] = view.config.sliders[trait];
    const error = now?.[flowsOf(view.state.batch_size)[0]] ?? NaN;
    const at = now?.[trait] ?? NaN;
    const guided = error > ERRORS.low && at >= low && at <= high;
    labels.hide("guide", !guided);
    if (!guided) return;
    const height = (/** @type {number} */ value) => y.copy().clamp(false)((error * value) / at);
    context.strokeStyle = view.colours.faint;
    context.lineWidth = 1;
    context.setLineDash([4, 4]);
    context.beginPath();
    context.moveTo(x(low), height(low));
    context.lineTo(x(high), height(high));
    context.stroke();
    context.setLineDash([]);
    const end = Math.min(high, (at * ERRORS.high) / error);
    const text = trait === "rho" ? "∝ ρ" : "∝ η";
    labels.put("guide", Math.min(x(end), box.right) - 6, Math.max(height(end), box.top) + 16, text, "end");
  }

  return { plot, draw };
}
