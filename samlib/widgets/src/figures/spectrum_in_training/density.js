// How the eigenvalues are distributed: the bins as steps, above them the ten top eigenvalues one by one.

import { scaleLog, scaleSymlog } from "d3-scale";
import { drawGrid } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { DASHES, colourOf } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { edgesOf } from "./edges.js";
import { ALL, DOTTED, SHORT, aloneIn, drawLine, largest } from "./marks.js";

/** @typedef {import("./sweep.js").Run} Run */
/** @typedef {(value: number) => number} Scale */

/** The rows of the ten top eigenvalues, above the bars; the plot keeps so much room for them. */
const ROW = 16;
const ROWS = 3 * ROW + 14;

/** @param {import("./figure.js").View} view */
export function createDensity(view) {
  const { sweep } = view;
  const { edges, tables } = sweep;
  const stability = edgesOf(sweep);
  const mostCount = largest(sweep, "counts");
  const plot = createPlot({
    className: "samlib-tall samlib-density",
    margin: { left: 40, right: 10, top: 6, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("Eigenvalues of ∇²L in each bin", "eigenvalue λ (logarithmic beyond ±0.001)", "");
  const rowNames = createLabels(plot, ALL);
  const edgeName = createLabels(plot, ["edge"]);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { runs } = view.now();
    plot.clear();
    const x = scaleSymlog([edges[0], edges[edges.length - 1]], [box.left, box.right]).constant(sweep.unit);
    const y = scaleLog([0.7, mostCount * 1.1], [box.bottom, box.top + ROWS]);
    const yTicks = [1, 10, 100].filter((v) => v < mostCount);
    drawGrid(plot, view.colours, y, yTicks, Math.round(x(0)) + 0.5);
    for (const run of runs) drawSteps(run, x, y);
    for (const [i, run] of ALL.entries()) {
      rowNames.hide(run, !runs.includes(run));
      if (runs.includes(run)) drawTop(run, x, box.top + ROW * (i + 0.5) + 2);
    }
    drawEdge(x);
    const room = box.right - box.left > 280;
    const xTicks = room ? [-1, -0.1, -0.01, 0, 0.01, 0.1, 1] : [-1, -0.1, 0, 0.1, 1];
    plot.axes(x, y, { xTicks, yTicks, xFormat: number, yFormat: number });
  }

  /** @param {Run} run @param {Scale} x @param {Scale} y */
  function drawSteps(run, x, y) {
    const { rho, step } = view.now();
    const outline = new Path2D();
    for (let i = 0; i + 1 < edges.length; i++) {
      const count = sweep.at("counts", run, rho, step, i);
      const height = count > 0 ? y(count) : plot.box.bottom + 4;
      outline.lineTo(x(edges[i]), height);
      outline.lineTo(x(edges[i + 1]), height);
    }
    context.strokeStyle = context.fillStyle = colourOf(run, view.colours);
    context.lineWidth = 1.75;
    context.globalAlpha = 0.1;
    context.fill(outline);
    context.globalAlpha = 1;
    context.setLineDash(DASHES[run].map((v) => v / 1.5));
    context.stroke(outline);
    context.setLineDash([]);
  }

  /** The ten top eigenvalues. @param {Run} run @param {Scale} x @param {number} middle of their row */
  function drawTop(run, x, middle) {
    const { rho, step, runs } = view.now();
    context.strokeStyle = colourOf(run, view.colours);
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
    const name = run === runs[0] ? `the ten largest: ${SHORT[run]}` : SHORT[run];
    rowNames.put(run, lowest - 6, middle + 4, name, "end");
  }

  /** @param {Scale} x */
  function drawEdge(x) {
    const { box } = plot;
    const { rho, step, runs } = view.now();
    const descent = runs.includes("gradient_descent");
    const wall = descent ? stability.descent : aloneIn(view) === "sam" ? stability.sam(rho, step) : NaN;
    edgeName.hide("edge", Number.isNaN(wall));
    if (Number.isNaN(wall)) return;
    drawLine(context, view.colours.ink, DOTTED, 1.5, [x(wall), x(wall)], (i) => (i ? box.top : box.bottom));
    const name = wall === stability.descent ? "2/η" : "SAM’s edge";
    edgeName.put("edge", x(wall) - 5, box.top + ROWS + 14, name, "end");
  }

  return { plot, draw };
}
