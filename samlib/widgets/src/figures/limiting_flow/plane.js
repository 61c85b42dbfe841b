// Where SAM's gradient points in the plane of v₁ and v₂, as a point of a circle, and where it is to point on average.

import { constants } from "../../schema.js";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { disc, drawMark } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { meanPoint } from "./directions.js";

/** @typedef {{x: (s: number) => number, y: (s: number) => number, radius: number}} Circle */

/** Room at the sides of the circle for the names of its ends, in px. */
const ASIDE = 32;

/** Room for what is written beside it, in px. */
const BESIDE = 120;

/** The line behind the mark covers so many checkpoints. */
const TRAIL = 2;

/** The height of a line of text, in px. */
const LINE = 22;

const TEXTS = ["v₁", "v₂", "run", "mean", "flow", "tie", "empty"];

/** @param {import("./figure.js").View} view */
export function createPlane(view) {
  const { bench } = view;
  const margin = { left: 2, right: 2, top: 4, bottom: 8 };
  const plot = createPlot({ className: "samlib-panel samlib-circle", margin, onResize: view.redraw });
  plot.name("Direction of ∇L", "", "");
  const labels = createLabels(plot, TEXTS);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    plot.clear();
    const { course, settings } = bench;
    const directions = course?.directions;
    for (const text of TEXTS) labels.hide(text, (text === "empty") === Boolean(directions));
    const radius = Math.min((box.bottom - box.top) / 2 - 4, (box.right - box.left - 2 * ASIDE - BESIDE) / 2);
    const [left, top] = [box.left + ASIDE + radius, (box.top + box.bottom) / 2];
    const circle = { radius, x: (/** @type {number} */ s) => left + radius * s, y: (/** @type {number} */ s) => top - radius * s };
    drawCircle(circle);
    if (directions) drawRun(directions, circle);
    else if (settings && settings.batch_size < constants.limiting_flow.points) labels.put("empty", circle.x(0), circle.y(0), "full batch only", "middle");
  }

  /** @param {Circle} circle */
  function drawCircle({ x, y, radius }) {
    const { colours } = view;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.strokeStyle = colours.line;
    context.beginPath();
    context.moveTo(x(-1), y(0));
    context.lineTo(x(1), y(0));
    context.moveTo(x(0), y(-1));
    context.lineTo(x(0), y(1));
    context.stroke();
    context.strokeStyle = colours.faint;
    context.stroke(disc(x(0), y(0), radius));
  }

  /** @param {import("./directions.js").Directions} directions @param {Circle} circle */
  function drawRun(directions, circle) {
    const { s1, s2, counts, since, tied, predicted } = directions;
    const { x, y } = circle;
    const n = bench.shown();
    context.fillStyle = context.strokeStyle = view.colours.sam;
    context.globalAlpha = 0.4;
    for (let k = counts[since[n]]; k < counts[n]; k++) context.fill(disc(x(s1[k]), y(s2[k]), 1.5));
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.beginPath();
    const from = counts[Math.max(since[n], n - TRAIL)];
    for (let k = from; k < counts[n]; k++) context.lineTo(x(s1[k]), y(s2[k]));
    context.stroke();
    const last = counts[n] - 1;
    if (counts[n] > from) drawMark(context, "sam", x(s1[last]), y(s2[last]), view.colours);
    const mean = meanPoint(directions, n);
    drawCross(x(predicted[n]), y(0));
    drawRing(x(mean[0]), y(mean[1]));
    explain(circle, tied[n], bench.course?.tau[since[n]] ?? 0);
  }

  /** What the marks are, beside the circle. @param {Circle} circle @param {number} tied @param {number} since */
  function explain({ x, y, radius }, tied, since) {
    // Tied eigenvectors have no names of their own: these are the two for which Q is diagonal.
    labels.put("v₁", x(1) + 12, y(0) + 5, tied > 1 ? "e₁" : "v₁", "start");
    labels.put("v₂", x(-1) - 12, y(0) + 5, tied > 1 ? "e₂" : "v₂", "end");
    const left = x(0) + radius + ASIDE + 16;
    const row = (/** @type {number} */ n) => y(0) + (n - 1.5) * LINE;
    drawMark(context, "sam", left, row(0), view.colours);
    drawRing(left, row(1));
    drawCross(left, row(2));
    labels.put("run", left + 14, row(0) + 5, "SAM", "start");
    labels.put("mean", left + 14, row(1) + 5, "its mean", "start");
    labels.put("flow", left + 14, row(2) + 5, tied > 0 ? "flow’s mean" : "flow has ended", "start");
    labels.put("tie", left - 6, row(3) + 5, tied > 1 ? `tied since τ = ${number(since)}` : "no tie yet", "start");
    labels.hide("tie", tied === 0);
  }

  /** @param {number} px @param {number} py */
  function drawRing(px, py) {
    if (!Number.isFinite(px)) return;
    context.strokeStyle = view.colours.ink;
    context.lineWidth = 2;
    context.stroke(disc(px, py, 7));
  }

  /** @param {number} px @param {number} py */
  function drawCross(px, py) {
    if (!Number.isFinite(px)) return;
    context.strokeStyle = view.colours.worst;
    context.lineWidth = 2.5;
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(px - 5, py - 5 * side);
      context.lineTo(px + 5, py + 5 * side);
    }
    context.stroke();
  }

  return { plot, draw };
}
