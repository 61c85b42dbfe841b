// The pictures of the figure "SpectrumInTraining": how the eigenvalues are distributed, λ₁ and the trace for
// every ρ, and everything over time.

import { scaleLinear, scaleLog, scaleSqrt, scaleSymlog } from "d3-scale";
import { number } from "../../shared/format.js";
import { DASHES, colourOf, drawMark } from "../../shared/marks.js";
import { createLabels, createPlot, drawGrid, onDrag } from "../../shared/plot.js";
import { edgeOfStability } from "./sweep.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./sweep.js").Run} Run */
/** @typedef {import("../../shared/plot.js").Plot} Plot */

/** What separates the right end of the axis of time from that of the panel. */
const SLACK = 8;

/** The rows of the ten top eigenvalues, above the bars; the plot keeps so much room for them. */
const ROW = 16;
const ROWS = 3 * ROW + 14;

/** What time is measured in: the checkpoints are equally far from each other on this scale. */
const TIME = "step (square-root scale)";

/** Dots for a line of a prediction. */
const DOTTED = [2, 4];

/** @type {Record<Run, string>} */
const SHORT = { "gradient-descent": "GD", sam: "SAM", "one-sam": "1-SAM" };

/** @param {number} t */
const shortCount = (t) => (t >= 1000 ? `${t / 1000}k` : String(t));

/** Accuracies that have a tick; the axis is logarithmic in what is missing to 100 %. */
const ACCURACIES = [0.1, 0.8, 0.9, 0.95, 0.98];

/** @param {View} view */
export function createSweepPlots(view) {
  const { sweep } = view;
  const { rhos, steps, edges, tables } = sweep;
  const last = steps[steps.length - 1];
  const largest = (/** @type {string} */ name) => Array.from(tables[name].values).reduce((a, b) => Math.max(a, b), 0);
  const highest = { top: 1.08 * largest("eigenvalues"), trace: 1.08 * largest("trace") };
  const leastLoss = 0.75 * Array.from(tables.loss.values).reduce((a, b) => Math.min(a, b), Infinity);
  const mostCount = largest("counts");
  // Where full-batch SAM and gradient descent cease to be stable.
  const edge = (/** @type {number} */ rho, /** @type {number} */ step) =>
    edgeOfStability(sweep.lr.sam, rhos[rho], sweep.at("gradient_norm", "sam", rho, step));
  const descentEdge = edgeOfStability(sweep.lr.sam, 0, 1);

  const density = createPlot({
    className: "samlib-plane samlib-density",
    margin: { left: 40, right: 10, top: 6, bottom: 40 },
    onResize: view.redraw,
  });
  density.name("Eigenvalues of ∇²L in each bin", "eigenvalue λ (logarithmic beyond ±0.001)", "");
  const rowNames = createLabels(density, Object.keys(SHORT));
  const edgeName = createLabels(density, ["edge"]);

  const topByRho = byRho("λ₁ for every ρ, at the step shown");
  const traceByRho = byRho("Trace for every ρ, at the step shown");
  const top = overTime("samlib-panel samlib-wide", "λ₁ over time");
  const trace = overTime("samlib-panel samlib-wide", "Trace over time");
  const angle = overTime("samlib-panel", "Alignment with top ten; dots: with v₁");
  const loss = overTime("samlib-panel", "Training loss");
  const accuracy = overTime("samlib-panel", "Test accuracy");
  const topNames = createLabels(top, ["descent", "sam"]);

  /** @param {string} title */
  function byRho(title) {
    const plot = createPlot({
      className: "samlib-panel samlib-by-rho",
      margin: { left: 40, right: 10, top: 8, bottom: 40 },
      onResize: view.redraw,
    });
    plot.name(title, "ρ (the values computed)", "");
    onDrag(plot, (event) => {
      const x = rhoScale(plot.box);
      const at = Math.round(x.invert(event.clientX - plot.svg.getBoundingClientRect().left));
      view.update({ rho: rhos[Math.min(Math.max(at, 0), rhos.length - 1)] });
    });
    return plot;
  }

  /** @param {string} className @param {string} title */
  function overTime(className, title) {
    const plot = createPlot({
      className,
      margin: { left: 40, right: 10, top: 8, bottom: 40 },
      onResize: view.redraw,
    });
    plot.name(title, TIME, "");
    onDrag(plot, (event) => {
      const x = timeScale(plot.box);
      const at = event.clientX - plot.svg.getBoundingClientRect().left;
      view.pause();
      view.update({ step: steps[steps.map((t) => Math.abs(x(t) - at)).reduce((a, d, k, all) => (d < all[a] ? k : a), 0)] });
    });
    return plot;
  }

  /** @param {Plot["box"]} box */
  const timeScale = (box) => scaleSqrt([0, last], [box.left, box.right - SLACK]);

  /** The values of ρ side by side, as equal steps. @param {Plot["box"]} box */
  const rhoScale = (box) => scaleLinear([-0.4, rhos.length - 0.6], [box.left, box.right]);

  /**
   * @param {Plot} plot @param {string} colour @param {number[]} dash @param {number} width
   * @param {ArrayLike<number>} px @param {(i: number) => number} height
   */
  function line({ context }, colour, dash, width, px, height) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.setLineDash(dash);
    context.beginPath();
    for (let i = 0; i < px.length; i++) context.lineTo(px[i], height(i));
    context.stroke();
    context.setLineDash([]);
  }

  /** The one run that is shown, if it is one. */
  function alone() {
    const { runs } = view.now();
    return runs.length === 1 ? runs[0] : null;
  }

  /** The bins as steps, bin by bin; above them the ten top eigenvalues one by one. */
  function drawDensity() {
    const { context, box } = density;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { rho, step, runs } = view.now();
    density.clear();
    const x = scaleSymlog([edges[0], edges[edges.length - 1]], [box.left, box.right]).constant(sweep.unit);
    const y = scaleLog([0.7, mostCount * 1.1], [box.bottom, box.top + ROWS]);
    const yTicks = [1, 10, 100].filter((v) => v < mostCount);
    drawGrid(density, colours, y, yTicks, Math.round(x(0)) + 0.5);
    for (const run of runs) {
      const colour = colourOf(run, colours);
      const outline = new Path2D();
      for (let i = 0; i + 1 < edges.length; i++) {
        const count = sweep.at("counts", run, rho, step, i);
        const height = count > 0 ? y(count) : box.bottom + 4;
        outline.lineTo(x(edges[i]), height);
        outline.lineTo(x(edges[i + 1]), height);
      }
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 1.75;
      context.globalAlpha = 0.1;
      context.fill(outline);
      context.globalAlpha = 1;
      context.setLineDash(run === "sam" ? [] : DASHES[run].map((v) => v / 1.5));
      context.stroke(outline);
      context.setLineDash([]);
    }
    const all = /** @type {Run[]} */ (Object.keys(SHORT));
    for (const [i, run] of all.entries()) {
      const hidden = !runs.includes(run);
      rowNames.hide(run, hidden);
      if (hidden) continue;
      const middle = box.top + ROW * (i + 0.5) + 2;
      context.strokeStyle = colourOf(run, colours);
      context.lineWidth = 1.5;
      context.beginPath();
      let lowest = Infinity;
      for (let k = 0; k < tables.eigenvalues.size; k++) {
        const px = x(sweep.at("eigenvalues", run, rho, step, k));
        lowest = Math.min(lowest, px);
        context.moveTo(px, middle - 6);
        context.lineTo(px, middle + 6);
      }
      context.stroke();
      rowNames.put(run, lowest - 6, middle + 4, run === runs[0] ? `the ten largest: ${SHORT[run]}` : SHORT[run], "end");
    }
    const wall = runs.includes("gradient-descent") ? descentEdge : alone() === "sam" ? edge(rho, step) : NaN;
    edgeName.hide("edge", Number.isNaN(wall));
    if (!Number.isNaN(wall)) {
      line(density, colours.ink, DOTTED, 1.5, [x(wall), x(wall)], (i) => (i ? box.top : box.bottom));
      edgeName.put("edge", x(wall) - 5, box.top + ROWS + 14, wall === descentEdge ? "2/η" : "SAM’s edge", "end");
    }
    const room = box.right - box.left > 280;
    const xTicks = room ? [-1, -0.1, -0.01, 0, 0.01, 0.1, 1] : [-1, -0.1, 0, 0.1, 1];
    density.axes(x, y, { xTicks, yTicks, xFormat: number, yFormat: number });
  }

  /**
   * One quantity over time.
   *
   * @param {Plot} plot @param {any} y the vertical scale, without its range @param {number[]} yTicks
   * @param {(v: number) => string} yFormat
   * @param {(run: Run, step: number) => number} value
   */
  function drawOverTime(plot, y, yTicks, yFormat, value) {
    const { context, box } = plot;
    if (box.right <= box.left) return null;
    const { colours } = view;
    const { step, runs } = view.now();
    plot.clear();
    const x = timeScale(box);
    y.range([box.bottom, box.top]);
    const px = steps.map((t) => x(t));
    drawGrid(plot, colours, y, yTicks, px[step]);
    for (const run of runs) line(plot, colourOf(run, colours), DASHES[run], 2, px, (i) => y(value(run, i)));
    for (const run of runs) drawMark(context, run, px[step], y(value(run, step)), colours);
    const wide = box.right - box.left > 230;
    plot.axes(x, y, {
      xTicks: wide ? [0, 100, 500, 1000, 2000, 4000, 6000] : [0, 500, 2000, 6000],
      yTicks, yFormat, xFormat: shortCount,
    }); // prettier-ignore
    return { px, y: (/** @type {number} */ v) => y(v) };
  }

  /**
   * One quantity at the step shown, for every ρ.
   *
   * @param {Plot} plot @param {number} high @param {(run: Run, rho: number) => number} value
   */
  function drawByRho(plot, high, value) {
    const { context, box } = plot;
    if (box.right <= box.left) return null;
    const { colours } = view;
    const { rho, runs } = view.now();
    plot.clear();
    const x = rhoScale(box);
    const y = scaleLinear([0, high], [box.bottom, box.top]);
    const yTicks = y.ticks(4);
    const px = rhos.map((_, i) => x(i));
    drawGrid(plot, colours, y, yTicks, px[rho]);
    for (const run of runs) line(plot, colourOf(run, colours), DASHES[run], 2, px, (i) => y(value(run, i)));
    for (const run of runs) {
      if (run === "gradient-descent") continue; // it has no ρ
      for (const i of px.keys()) drawMark(context, run, px[i], y(value(run, i)), colours);
    }
    plot.axes(x, y, { xTicks: rhos.map((_, i) => i), yTicks, xFormat: (i) => number(rhos[i]), yFormat: number });
    return { px, y };
  }

  function draw() {
    const { colours } = view;
    const { rho, step, runs } = view.now();
    const single = alone();
    drawDensity();

    const overRho = drawByRho(topByRho, highest.top, (run, i) => sweep.at("eigenvalues", run, i, step));
    if (overRho && runs.includes("sam")) {
      line(topByRho, colours.ink, DOTTED, 1.5, overRho.px, (i) => overRho.y(edge(i, step)));
    }
    drawByRho(traceByRho, highest.trace, (run, i) => sweep.at("trace", run, i, step));

    top.name(single ? `The ten largest eigenvalues of ${SHORT[single]}` : "λ₁ over time", TIME, "");
    const linear = scaleLinear([0, highest.top], [0, 1]);
    const drawn = drawOverTime(top, linear, linear.ticks(5), number, (run, i) => sweep.at("eigenvalues", run, rho, i));
    if (drawn) {
      const { px, y } = drawn;
      for (let k = 1; single && k < tables.eigenvalues.size; k++) {
        line(top, colourOf(single, colours), [], 0.75, px, (i) => y(sweep.at("eigenvalues", single, rho, i, k)));
      }
      const both = { descent: runs.includes("gradient-descent"), sam: runs.includes("sam") && rho > 0 };
      if (both.descent) line(top, colours.ink, DOTTED, 1.5, px, () => y(descentEdge));
      if (both.sam) line(top, colours.ink, DOTTED, 1.5, px, (i) => y(edge(rho, i)));
      const { box } = top;
      topNames.hide("descent", !both.descent);
      topNames.hide("sam", !both.sam);
      topNames.put("descent", box.left + 6, y(descentEdge) - 5, `2/η = ${number(descentEdge)}`, "start");
      topNames.put("sam", box.right - SLACK, y(edge(rho, steps.length - 1)) + 16, "SAM’s edge of stability", "end");
    }
    const sums = scaleLinear([0, highest.trace], [0, 1]);
    drawOverTime(trace, sums, sums.ticks(4), number, (run, i) => sweep.at("trace", run, rho, i));

    const shares = drawOverTime(
      angle, scaleLinear([0, 1.05], [0, 1]), [0, 0.5, 1], number, (run, i) => sweep.at("top_alignment", run, rho, i),
    ); // prettier-ignore
    if (shares) {
      // With v₁ alone it jumps, where λ₁ and λ₂ are close: dots, not a line.
      for (const run of runs) {
        angle.context.fillStyle = colourOf(run, colours);
        for (const i of steps.keys()) {
          angle.context.beginPath();
          angle.context.arc(shares.px[i], shares.y(sweep.at("alignment", run, rho, i)), 1.6, 0, 7);
          angle.context.fill();
        }
      }
    }

    const losses = scaleLog([leastLoss, 1], [0, 1]);
    const lossTicks = [0.01, 0.03, 0.1, 0.3, 1].filter((v) => v >= leastLoss);
    drawOverTime(loss, losses, lossTicks, number, (run, i) => sweep.at("loss", run, rho, i));

    const errors = scaleLog([1, 0.01], [0, 1]);
    drawOverTime(
      accuracy, errors, ACCURACIES.map((v) => Number((1 - v).toPrecision(6))), (v) => `${Math.round(100 * (1 - v))} %`,
      (run, i) => Math.max(1 - sweep.at("test_accuracy", run, rho, i), 0.5 / sweep.testRows),
    ); // prettier-ignore
  }

  return { plots: [density, topByRho, traceByRho, top, trace, angle, loss, accuracy], draw };
}
