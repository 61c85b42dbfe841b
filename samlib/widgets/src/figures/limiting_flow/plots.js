// The pictures of the figure "LimitingFlow": λ₁, the trace and the alignment over time, the fitted function, and
// the distance to the flow against ρ and η.

import { scaleLinear, scaleLog } from "d3-scale";
import { FLOW_INTERVALS, flowAt } from "../../dynamics/flow.js";
import { decade, number, subscript } from "../../shared/format.js";
import { DASHES, colourOf, drawMark, onCanvas } from "../../shared/marks.js";
import { POINTS } from "../../dynamics/network.js";
import { createLabels, createPlot, drawGrid, onDrag } from "../../shared/plot.js";
import { CHECKPOINTS, flowsOf } from "./training.js";

/** @typedef {import("../../shared/frame.js").Frame<import("./figure.js").State> & {bench: import("./figure.js").Bench}} View */
/** @typedef {import("../../shared/plot.js").Plot} Plot */
/** @typedef {import("../../dynamics/flow.js").Regularizer} Regularizer */

/** The distances to the flow that are drawn; smaller ones stand at the bottom. */
const ERRORS = { low: 2e-4, high: 1, ticks: [1e-3, 1e-2, 1e-1, 1] };

/** What separates the end of the axis of time from the edge, so that the mark there is whole. */
const SLACK = 8;

/** Points of the fitted function between two data points. */
const BETWEEN = 16;

/** How a method is drawn. @param {number} size of the batch @returns {import("../../shared/marks.js").Method} */
const methodOf = (size) => (size === 1 ? "one-sam" : size === POINTS ? "sam" : "mini-batch");

/** @param {View} view */
export function createFlowPlots(view) {
  const { bench } = view;
  const top = overTime("λ₁ at the nearest minimizer");
  const trace = overTime("Trace at the nearest minimizer");
  const alignment = overTime("Alignment |cos∠(∇L, v₁)|");
  const fitted = panel("Fitted function between data points", "");
  const flowNames = new Map([top, trace].map((plot) => [plot, createLabels(plot, ["top", "trace"])]));
  const errors = { rho: distances("rho", "ρ"), lr: distances("lr", "η") };

  /** @param {string} title @param {string} xLabel */
  function panel(title, xLabel) {
    const plot = createPlot({
      className: "samlib-panel",
      margin: { left: 46, right: 12, top: 8, bottom: 40 },
      onResize: view.redraw,
    });
    plot.name(title, xLabel, "");
    return plot;
  }

  /** @param {string} title */
  function overTime(title) {
    const plot = panel(title, "time τ = ηρ² · step");
    plot.svg.classList.add("samlib-scrubbed");
    onDrag(plot, (event) => {
      const { box, svg } = plot;
      const px = event.clientX - svg.getBoundingClientRect().left;
      const at = (px - box.left) / (box.right - SLACK - box.left);
      const tau = at * view.state.time;
      const { course } = bench;
      if (!course) return;
      view.pause();
      const ratio = tau / course.tau[CHECKPOINTS];
      view.update({ frame: Math.min(Math.max(Math.round(ratio * CHECKPOINTS), 0), CHECKPOINTS) });
    });
    return plot;
  }

  /** @param {"rho" | "lr"} trait @param {string} symbol */
  function distances(trait, symbol) {
    const plot = panel(`Distance to the flow, against ${symbol}`, symbol);
    plot.svg.classList.add("samlib-scrubbed");
    plot.el.dataset.history = ""; // it shows earlier runs, too
    onDrag(plot, (event) => {
      const { box, svg } = plot;
      const at = event.clientX - svg.getBoundingClientRect().left;
      const x = scaleLog(view.config.sliders[trait], [box.left + SLACK, box.right - SLACK]).clamp(true);
      const value = x.invert(at);
      view.update({ [trait]: Number(value.toPrecision(2)) });
    });
    return { plot, labels: createLabels(plot, ["guide"]) };
  }

  /** What a run is drawn with. @param {CanvasRenderingContext2D} context @param {number} size */
  function pen(context, size) {
    const method = methodOf(size);
    context.strokeStyle = colourOf(method, view.colours);
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.setLineDash(DASHES[method]);
    return method;
  }

  /**
   * @param {Plot} plot @param {"top" | "trace" | "alignment"} name
   * @param {[number, number]} domain @param {number[]} yTicks
   */
  function drawOverTime(plot, name, domain, yTicks) {
    const { context, box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { course, settings, ground } = bench;
    plot.clear();
    const time = settings?.time ?? view.state.time;
    const x = scaleLinear([0, time], [box.left, box.right - SLACK]);
    const y = scaleLinear(domain, [box.bottom, box.top]);
    const n = bench.shown();
    drawGrid(plot, colours, y, yTicks, x(course?.tau[n] ?? 0));
    plot.axes(x, y, { xTicks: x.ticks(5), yTicks, xFormat: number, yFormat: number });
    if (!course || !settings || !ground) return;

    const trace = (/** @type {number} */ end, /** @type {(k: number) => number[]} */ at) => {
      context.beginPath();
      let down = false;
      for (let k = 0; k <= end; k++) {
        const [tau, value] = at(k);
        const px = x(tau);
        const py = onCanvas(y(value));
        if (!Number.isFinite(py)) down = false;
        else if (down) context.lineTo(px, py);
        else context.moveTo(px, py);
        down = Number.isFinite(py);
      }
      context.stroke();
    };
    if (name !== "alignment") {
      for (const flow of /** @type {const} */ (["top", "trace"])) {
        context.strokeStyle = flow === "top" ? colours.worst : colours.average;
        context.lineWidth = 2.5;
        context.setLineDash([2, 4]);
        const { horizon } = ground.flows[flow];
        trace(FLOW_INTERVALS, (k) => [(k * horizon) / FLOW_INTERVALS, ground.flows[flow][name][k]]);
      }
    }
    nameFlows(plot, name, time, x, y);
    const method = pen(context, settings.batch_size);
    trace(course.done, (k) => [course.tau[k], course[name][k]]);
    context.setLineDash([]);
    drawMark(context, method, x(course.tau[n]), onCanvas(y(course[name][n])), colours);
  }

  /**
   * Write at both flows which one it is: the upper one above it, the lower one below.
   *
   * @param {Plot} plot @param {"top" | "trace" | "alignment"} name @param {number} time
   * @param {(tau: number) => number} x @param {(value: number) => number} y
   */
  function nameFlows(plot, name, time, x, y) {
    const labels = flowNames.get(plot);
    const { flows } = bench.ground ?? {};
    if (!labels || !flows || name === "alignment") return;
    // To the left of the middle: there they part, and a flow that ends early is still there.
    const at = 0.4 * time;
    const height = { top: y(flowAt(flows.top, name, at)), trace: y(flowAt(flows.trace, name, at)) };
    for (const flow of /** @type {const} */ (["top", "trace"])) {
      const other = height[flow === "top" ? "trace" : "top"];
      const above = !(height[flow] > other);
      const ended = !Number.isFinite(height[flow]);
      labels.hide(flow, ended);
      if (ended) continue;
      const text = `${flow === "top" ? "λ₁" : "trace"} flow`;
      labels.put(flow, x(at), height[flow] + (above ? -8 : 18), text, above ? "start" : "end");
    }
  }

  /** What both flows cover of λ₁ or the trace, with room below for runs that overtake them. @param {Regularizer} name */
  function rangeOf(name) {
    let [low, high] = [Infinity, -Infinity];
    for (const flow of Object.values(bench.ground?.flows ?? {})) {
      for (const value of flow[name]) {
        if (Number.isNaN(value)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    const range = high - low;
    return /** @type {[number, number]} */ (range > 0 ? [low - 0.3 * range, high + 0.1 * range] : [0, 2]);
  }

  /** The tour from data point to data point, and where on it they are. */
  function tour() {
    const { network } = /** @type {NonNullable<typeof bench.ground>} */ (bench.ground);
    const { features, inputs } = network;
    const row = (/** @type {number} */ k) => inputs.subarray(k * features, (k + 1) * features);
    const stops = [0];
    for (let k = 1; k < POINTS; k++) {
      stops.push(stops[k - 1] + Math.hypot(...row(k).map((v, i) => v - row(k - 1)[i])));
    }
    const s = new Float64Array(features);
    /** @param {Float64Array} x @returns {[number, number][]} */
    const outputs = (x) =>
      Array.from({ length: (POINTS - 1) * BETWEEN + 1 }, (_, j) => {
        const k = Math.min(Math.floor(j / BETWEEN), POINTS - 2);
        const t = j / BETWEEN - k;
        for (let i = 0; i < features; i++) s[i] = (1 - t) * row(k)[i] + t * row(k + 1)[i];
        return [(1 - t) * stops[k] + t * stops[k + 1], network.output(x, s)];
      });
    return { stops, outputs };
  }

  function drawFitted() {
    const { context, box } = fitted;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { course, ground, settings } = bench;
    fitted.clear();
    if (!course || !ground || !settings) return;
    const { stops, outputs } = tour();
    const n = bench.shown();
    const before = outputs(ground.fitted);
    const now = outputs(course.x.subarray(n * ground.fitted.length, (n + 1) * ground.fitted.length));
    const heights = [...ground.network.targets, ...before.map(([, f]) => f)];
    const low = Math.min(...heights);
    const high = Math.max(...heights);
    const margin = 0.15 * (high - low);
    const x = scaleLinear([-0.3, stops[POINTS - 1] + 0.3], [box.left, box.right]);
    const y = scaleLinear([low - margin, high + margin], [box.bottom, box.top]);
    const yTicks = y.ticks(4);
    drawGrid(fitted, colours, y, yTicks, -10);
    const trace = (/** @type {[number, number][]} */ values) => {
      context.beginPath();
      for (const [s, f] of values) context.lineTo(x(s), onCanvas(y(f)) || 0);
      context.stroke();
    };
    context.strokeStyle = colours["gradient-descent"];
    context.lineWidth = 1.75;
    context.setLineDash(DASHES["gradient-descent"]);
    trace(before);
    pen(context, settings.batch_size);
    if (!bench.diverged(n)) trace(now);
    context.setLineDash([]);
    context.fillStyle = colours.ink;
    for (let k = 0; k < POINTS; k++) {
      context.beginPath();
      context.arc(x(stops[k]), y(ground.network.targets[k]), 3.5, 0, 2 * Math.PI);
      context.fill();
    }
    fitted.axes(x, y, {
      xTicks: stops, yTicks, yFormat: number, xFormat: (s) => `s${subscript(stops.indexOf(s) + 1)}`,
    }); // prettier-ignore
  }

  /** @param {"rho" | "lr"} trait */
  function drawDistances(trait) {
    const { plot, labels } = errors[trait];
    const { context, box } = plot;
    if (box.right <= box.left) return;
    const { colours, state, config } = view;
    const [low, high] = config.sliders[trait];
    const other = trait === "rho" ? "lr" : "rho";
    plot.clear();
    const x = scaleLog([low, high], [box.left + SLACK, box.right - SLACK]);
    const y = scaleLog([ERRORS.low, ERRORS.high], [box.bottom, box.top]).clamp(true);
    drawGrid(plot, colours, y, ERRORS.ticks, x(state[trait]));
    plot.axes(x, y, {
      xTicks: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].filter((v) => v >= low && v <= high), yTicks: ERRORS.ticks,
      xFormat: decade, yFormat: (v) => `${decade(100 * v)} %`,
    }); // prettier-ignore
    const shown = bench.trials.filter(
      (t) => t.network === state.network && t.time === state.time && t.batch_size === state.batch_size,
    );
    const [main] = flowsOf(state.batch_size);
    const now = shown.find((t) => t.rho === state.rho && t.lr === state.lr && t.seed === state.seed);
    const guided = now && now[main] > ERRORS.low && now[trait] >= low && now[trait] <= high;
    labels.hide("guide", !guided);
    if (guided) guide(x, y, now[trait], now[main], labels, trait === "rho" ? "∝ ρ" : "∝ η", box);
    for (const name of flowsOf(state.batch_size)) {
      const colour = name === "top" ? colours.worst : colours.average;
      const line = shown.filter((t) => t[other] === state[other] && t.seed === state.seed);
      line.sort((a, b) => a[trait] - b[trait]);
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 1.5;
      context.beginPath();
      for (const t of line) if (Number.isFinite(t[name])) context.lineTo(x(t[trait]), y(t[name]));
      context.stroke();
      for (const t of shown) {
        if (!Number.isFinite(t[name])) continue;
        const own = t[other] === state[other];
        context.globalAlpha = own ? 1 : 0.5;
        dot(x(t[trait]), y(t[name]), name, own ? 4 : 2.5, own, t === now);
      }
      context.globalAlpha = 1;
    }

    /** @param {number} px @param {number} py @param {Regularizer} name @param {number} r @param {boolean} filled @param {boolean} current */
    function dot(px, py, name, r, filled, current) {
      context.beginPath();
      if (name === "top") context.arc(px, py, r, 0, 2 * Math.PI);
      else {
        context.moveTo(px, py - 1.3 * r);
        context.lineTo(px + 1.2 * r, py + r);
        context.lineTo(px - 1.2 * r, py + r);
        context.closePath();
      }
      context.lineWidth = 1.25;
      if (filled) context.fill();
      else context.stroke();
      if (!current) return;
      context.beginPath();
      context.arc(px, py, 2 * r, 0, 2 * Math.PI);
      context.save();
      context.strokeStyle = colours.ink;
      context.lineWidth = 1.5;
      context.stroke();
      context.restore();
    }

    /**
     * The line of slope one through a point: what an error in proportion to ρ or η does.
     *
     * @param {any} x @param {any} y @param {number} at @param {number} error
     * @param {ReturnType<typeof createLabels>} labels @param {string} text @param {import("../../shared/plot.js").Box} box
     */
    function guide(x, y, at, error, labels, text, box) {
      const height = (/** @type {number} */ value) => y.copy().clamp(false)((error * value) / at);
      context.strokeStyle = colours.faint;
      context.lineWidth = 1;
      context.setLineDash([4, 4]);
      context.beginPath();
      context.moveTo(x(low), height(low));
      context.lineTo(x(high), height(high));
      context.stroke();
      context.setLineDash([]);
      const end = Math.min(high, (at * ERRORS.high) / error);
      labels.put("guide", Math.min(x(end), box.right) - 6, Math.max(height(end), box.top) + 16, text, "end");
    }
  }

  function draw() {
    const lambda = rangeOf("top");
    const sum = rangeOf("trace");
    drawOverTime(top, "top", lambda, scaleLinear(lambda, [0, 1]).ticks(4));
    drawOverTime(trace, "trace", sum, scaleLinear(sum, [0, 1]).ticks(4));
    drawOverTime(alignment, "alignment", [0, 1.05], [0, 0.5, 1]);
    drawFitted();
    drawDistances("rho");
    drawDistances("lr");
  }

  return {
    /** Where the button that fills in the distances goes. */
    sweepable: errors.rho.plot.heading,
    plots: [top, trace, alignment, fitted, errors.rho.plot, errors.lr.plot],
    draw,
  };
}
