// The curve m(λ), bent by ‖∇L‖, with the eigenvalues on it: what a step does to each part of the gradient.

import { scaleLinear } from "d3-scale";
import { diamond, drawLevels } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { onCanvas } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { createKnob } from "./knob.js";
import { normThrough } from "./multiplier.js";

/** @typedef {import("./figure.js").View} View */

/** What is shown of m. */
const LOW = -2.7;
const HIGH = 1.5;

/** An eigenvalue whose m is beyond stands so far from the edge, in pixels. */
const EDGE = 12;

/** At a stationary point m is −∞, which is nowhere on an axis. */
const LOWEST = -1e6;

/** @param {View} view */
export function createCurve(view) {
  const { world, config } = view;
  const { state } = world;
  const range = config.limits.eigenvalues;
  const plot = createPlot({
    className: "samlib-picture samlib-thermostat-curve",
    margin: { left: 34, right: 8, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("What a step multiplies each part of ∇L by: m(λ)", "eigenvalue λ", "");
  const labels = createLabels(plot, ["grows", "shrinks", "flips", "theorem", "limit"]);
  let x = scaleLinear(range, [0, 1]);
  let y = scaleLinear([LOW, HIGH], [1, 0]);
  const knobs = state.eigenvalues.map((_, i) => createKnob(view, plot, i, () => x));
  bendByHand();

  /** The curve follows a mouse; a finger scrolls the page, and has the slider. */
  function bendByHand() {
    const { svg } = plot;
    /** @param {PointerEvent} event */
    const bend = (event) => {
      const { left, top } = svg.getBoundingClientRect();
      const [low, high] = config.sliders.norm;
      const norm = normThrough(x.invert(event.clientX - left), y.invert(event.clientY - top), state);
      view.update({ norm: Number(Math.min(Math.max(norm, low), high).toPrecision(3)), frame: 0 });
    };
    svg.addEventListener("pointerdown", (event) => {
      const part = /** @type {Element} */ (event.target);
      if (event.pointerType === "touch" || part.closest(".samlib-handle")) return;
      svg.setPointerCapture(event.pointerId);
      view.pause();
      bend(event);
    });
    svg.addEventListener("pointermove", (event) => {
      if (svg.hasPointerCapture(event.pointerId)) bend(event);
    });
  }

  function drawBand() {
    const { context, box } = plot;
    context.fillStyle = view.colours.sam;
    context.globalAlpha = 0.13;
    context.fillRect(box.left, y(1), box.right - box.left, y(-1) - y(1));
    context.globalAlpha = 1;
    drawLevels(plot, view.colours.line, [y(0)]);
    context.strokeStyle = view.colours.line;
    context.beginPath();
    context.moveTo(x(0), box.top);
    context.lineTo(x(0), box.bottom);
    context.stroke();
  }

  /** @param {(lambda: number) => number} height @param {number} width @param {string} colour @param {number[]} [dash] */
  function drawLine(height, width, colour, dash = []) {
    const { context, box } = plot;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    for (let px = box.left; px <= box.right; px += 2) {
      const m = height(x.invert(px));
      context.lineTo(px, Number.isNaN(m) ? onCanvas(y(1)) : onCanvas(y(m)));
    }
    context.stroke();
    context.setLineDash([]);
  }

  /** The curve, heavier where it grows. */
  function drawCurve() {
    const { context, box } = plot;
    const { sam } = view.colours;
    drawLine(world.multiplier, 2.5, sam);
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.right - box.left, y(1) - box.top);
    context.rect(box.left, y(-1), box.right - box.left, box.bottom - y(-1));
    context.clip();
    drawLine(world.multiplier, 5, sam);
    context.restore();
  }

  /** Where the regions and the limits of the step are. */
  function write() {
    const { box } = plot;
    const right = box.right - 6;
    labels.put("grows", right, y(1) - 7, "m > 1: it grows", "end");
    labels.put("shrinks", right, y(1) + 17, "|m| < 1: it shrinks", "end");
    labels.put("flips", box.left + 6, box.bottom - 8, "m < −1: it flips and grows", "start");
    for (const [name, text, lambda] of /** @type {const} */ ([["theorem", "1/η", 1 / state.lr], ["limit", "2/η", 2 / state.lr]])) {
      const here = lambda < range[1];
      labels.hide(name, !here);
      if (here) labels.put(name, x(lambda), box.bottom - 5, text, "middle");
    }
  } // prettier-ignore

  function draw() {
    const { box, context } = plot;
    if (box.right <= box.left) return;
    plot.clear();
    x = scaleLinear(range, [box.left, box.right]);
    y = scaleLinear([LOW, HIGH], [box.bottom, box.top]);
    drawBand();
    drawLine((lambda) => 1 - state.lr * lambda, 1.25, view.colours.gradient_descent, [6, 4]);
    drawCurve();
    const top = Math.max(...state.eigenvalues);
    if (!Number.isNaN(world.balance)) diamond(context, x(top), y(-1), 13, view.colours.ink);
    state.eigenvalues.forEach((lambda, i) => {
      const m = world.multiplier(lambda);
      const py = y(Number.isNaN(m) ? 1 : Math.max(m, LOWEST));
      const inside = Math.min(Math.max(py, box.top + EDGE), box.bottom - EDGE);
      const equal = state.eigenvalues.filter((other, k) => other === lambda && world.ranks[k] < world.ranks[i]);
      knobs[i].show({
        px: x(lambda), py: inside, shift: 22 * equal.length, floor: box.bottom, beyond: py < box.top || py > box.bottom,
      }); // prettier-ignore
    });
    write();
    const xTicks = [-2, -1, 0, 1, 2, 3, 4];
    plot.axes(x, y, { xTicks, yTicks: [-2, -1, 0, 1], xFormat: number, yFormat: number });
  }

  return { plot, handles: knobs, draw };
}
