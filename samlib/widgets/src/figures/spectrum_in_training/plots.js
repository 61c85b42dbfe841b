// The pictures of the figure "SpectrumInTraining": how the eigenvalues are distributed, λ₁ and the trace for
// every ρ, and everything over time.

import { scaleLinear, scaleLog } from "d3-scale";
import { number } from "../../shared/format.js";
import { colourOf } from "../../shared/marks.js";
import { createByRho } from "./by-rho.js";
import { createDensity } from "./density.js";
import { edgesOf } from "./edges.js";
import { DOTTED, drawLine, largest } from "./marks.js";
import { createOverTime } from "./over-time.js";
import { createTopOverTime } from "./top-over-time.js";

/** Accuracies that have a tick; the axis is logarithmic in what is missing to 100 %. */
const ACCURACIES = [0.1, 0.8, 0.9, 0.95, 0.98];

/** @param {import("./figure.js").View} view */
export function createSweepPlots(view) {
  const { sweep } = view;
  const { steps, tables } = sweep;
  const stability = edgesOf(sweep);
  const highest = { top: 1.08 * largest(sweep, "eigenvalues"), trace: 1.08 * largest(sweep, "trace") };
  const leastLoss = 0.75 * Array.from(tables.loss.values).reduce((a, b) => Math.min(a, b), Infinity);
  const density = createDensity(view);
  const topByRho = createByRho(view, "λ₁ for every ρ, at the step shown");
  const traceByRho = createByRho(view, "Trace for every ρ, at the step shown");
  const top = createTopOverTime(view, highest.top);
  const trace = createOverTime(view, "samlib-panel", "Trace of ∇²L over time");
  const angle = createOverTime(view, "samlib-panel", "∇L in the ten sharpest directions; dots: in the sharpest");
  const loss = createOverTime(view, "samlib-panel", "Training loss");
  const accuracy = createOverTime(view, "samlib-panel", "Test accuracy");

  function drawByRho() {
    const { step, runs } = view.now();
    const drawn = topByRho.draw(highest.top, (run, i) => sweep.at("eigenvalues", run, i, step));
    if (drawn && runs.includes("sam")) {
      const { px, y } = drawn;
      drawLine(topByRho.plot.context, view.colours.ink, DOTTED, 1.5, px, (i) => y(stability.sam(i, step)));
    }
    traceByRho.draw(highest.trace, (run, i) => sweep.at("trace", run, i, step));
  }

  /** With v₁ alone it jumps, where λ₁ and λ₂ are close: dots, not a line. */
  function drawAlignment() {
    const { rho, runs } = view.now();
    const { context } = angle.plot;
    const drawn = angle.draw(
      scaleLinear([0, 1.05], [0, 1]), [0, 0.5, 1], number, (run, i) => sweep.at("top_alignment", run, rho, i),
    ); // prettier-ignore
    if (!drawn) return;
    for (const run of runs) {
      context.fillStyle = colourOf(run, view.colours);
      for (const i of steps.keys()) {
        context.beginPath();
        context.arc(drawn.px[i], drawn.y(sweep.at("alignment", run, rho, i)), 1.6, 0, 7);
        context.fill();
      }
    }
  }

  function draw() {
    const { rho } = view.now();
    density.draw();
    drawByRho();
    top.draw();
    const sums = scaleLinear([0, highest.trace], [0, 1]);
    trace.draw(sums, sums.ticks(4), number, (run, i) => sweep.at("trace", run, rho, i));
    drawAlignment();
    const lossTicks = [0.01, 0.03, 0.1, 0.3, 1].filter((v) => v >= leastLoss);
    loss.draw(scaleLog([leastLoss, 1], [0, 1]), lossTicks, number, (run, i) => sweep.at("loss", run, rho, i));
    accuracy.draw(
      scaleLog([1, 0.01], [0, 1]), ACCURACIES.map((v) => Number((1 - v).toPrecision(6))),
      (v) => `${Math.round(100 * (1 - v))} %`,
      (run, i) => Math.max(1 - sweep.at("test_accuracy", run, rho, i), 0.5 / sweep.testRows),
    ); // prettier-ignore
  }

  const all = { density, topByRho, traceByRho, top, trace, angle, loss, accuracy };
  return { picture: top.plot.el, panels: panelsOf(all), plots: Object.values(all).map(({ plot }) => plot), draw };
}

/** @param {Record<"density" | "topByRho" | "traceByRho" | "trace" | "angle" | "loss" | "accuracy", {plot: import("../../shared/plot.js").Plot}>} all */
const panelsOf = ({ density, topByRho, traceByRho, trace, angle, loss, accuracy }) => [
  { name: "density", title: "All eigenvalues", parts: [density.plot.el] },
  { name: "radii", title: "Every ρ", parts: [topByRho.plot.el, traceByRho.plot.el] },
  { name: "trace", title: "Trace", parts: [trace.plot.el] },
  { name: "gradient", title: "Gradient", parts: [angle.plot.el] },
  { name: "loss", title: "Loss", parts: [loss.plot.el] },
  { name: "accuracy", title: "Accuracy", parts: [accuracy.plot.el] },
];
