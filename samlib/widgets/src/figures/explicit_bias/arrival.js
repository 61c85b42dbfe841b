// On the way in: the runs from x′ to Γ in the bowl across it, and the number of S^Asc's band that each picks.

import { scaleLinear } from "d3-scale";
import { onDrag, partAcross } from "../../shared/drag.js";
import { arrow, drawGrid } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { drawMark } from "../../shared/marks.js";
import { planeIn } from "../../shared/plane.js";
import { player } from "../../shared/player.js";
import { createPlot } from "../../shared/plot.js";
import { METHODS, STEPS, distance } from "./arrivals.js";
import { REACH, drawBowl, line } from "./bowl.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./arrivals.js").Method} Method */

/** Room at the end of the time axis for the marks. */
const SLACK = 10;

const ALL = Array.from({ length: STEPS + 1 }, (_, t) => t);

/** @param {View} view */
export function createArrival(view) {
  const [ways, curve] = [createWays(view), createCurve(view)];
  const play = player({ linear: true, onFrame: (frame, settled) => view.update({ frame }, settled) });
  return {
    plots: [ways.plot, curve.plot],
    player: play,
    draw() {
      const { frame } = view.state;
      play.show(frame, ALL, `step ${frame}`);
      ways.draw();
      curve.draw();
    },
  };
}

/**
 * A line up to the step shown, and faintly on to the end.
 *
 * @param {View} view @param {CanvasRenderingContext2D} context @param {Method} method
 * @param {(t: number) => [number, number]} at
 */
function trail({ state, colours }, context, method, at) {
  context.strokeStyle = colours[method];
  context.lineWidth = 2;
  for (const [from, to, alpha] of [[0, state.frame, 1], [state.frame, STEPS, 0.25]]) {
    context.globalAlpha = alpha;
    context.beginPath();
    for (let t = from; t <= to; t++) context.lineTo(...at(t));
    context.stroke();
  }
  context.globalAlpha = 1;
} // prettier-ignore

/** @param {View} view */
function createWays(view) {
  const plot = createPlot({
    className: "samlib-tall",
    margin: { left: 44, right: 10, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  plot.name("From x′ into the bowl, and u there", "x₃/ε", "x₄/ε");
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, state, arrivals } = view;
    plot.clear();
    const { x, y, unit } = planeIn(box, [0, 0], REACH);
    drawBowl(view, plot, x, y, unit);
    for (const method of METHODS) {
      const run = arrivals[method];
      const at = (/** @type {number} */ t) =>
        /** @type {[number, number]} */ ([x(run.x[4 * t + 2] / distance), y(run.x[4 * t + 3] / distance)]);
      trail(view, context, method, at);
      const [px, py] = at(state.frame);
      const [u3, u4] = run.u.subarray(4 * state.frame + 2);
      arrow(context, px, py, 0.45 * unit * u3, -0.45 * unit * u4, colours[method], 3);
      drawMark(context, method, px, py, colours);
    }
    const ticks = [-1, 0, 1];
    plot.axes(x, y, { xTicks: ticks, yTicks: ticks, xFormat: number, yFormat: number });
  }

  return { plot, draw };
}

/** @param {View} view */
function createCurve(view) {
  const plot = createPlot({
    className: "samlib-tall",
    margin: { left: 44, right: 10, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("½uᵀ∇²L u on the way", "step", "");
  const labels = createLabels(plot, ["worst", "ascent"]);
  const { context } = plot;
  onDrag(plot, (event) => {
    view.pause();
    view.update({ frame: Math.round(partAcross(plot, event, SLACK) * STEPS) });
  });

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, state, arrivals, here } = view;
    plot.clear();
    const x = scaleLinear([0, STEPS], [box.left, box.right - SLACK]);
    const y = scaleLinear([0, 1.12 * here.worst], [box.bottom, box.top]);
    drawGrid(plot, colours, y, y.ticks(5), x(state.frame));
    const names = /** @type {const} */ ({ worst: "λ₁/2", ascent: "λ_M/2" });
    for (const notion of /** @type {const} */ (["worst", "ascent"])) {
      const height = y(here[notion]);
      line(context, box.left, height, box.right, height, colours, notion);
      const below = notion === "ascent" && here.worst - here.ascent < 2; // or the two names meet
      labels.put(notion, box.right - 4, height + (below ? 17 : -7), names[notion], "end");
    }
    for (const method of METHODS) {
      const { halfCurvature } = arrivals[method];
      const at = (/** @type {number} */ t) => /** @type {[number, number]} */ ([x(t), y(halfCurvature[t])]);
      trail(view, context, method, at);
      drawMark(context, method, ...at(state.frame), colours);
    }
    plot.axes(x, y, { xTicks: x.ticks(4), yTicks: y.ticks(5), xFormat: number, yFormat: number });
  }

  return { plot, draw };
}
