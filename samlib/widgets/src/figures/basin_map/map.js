// The map: the picture of the starts, the loss's contours, its places, and the path from the chosen start.

import { scaleLinear } from "d3-scale";
import { contours } from "d3-contour";
import { svg } from "../../shared/dom.js";
import { traceBranches } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { onCanvas } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { keySteps, sampleSteps } from "../../shared/samples.js";
import { paintField } from "./colours.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {(v: number) => number} Scale */

/** What the rules are called in the title. */
const NAMES = { sam: "SAM", gradient_descent: "gradient descent", ascent_loss_descent: "descent on Lᴬˢᶜ" };

/** Points of the grid for the contours, along each side. */
const GRID = 96;

/** @param {View} view */
export function createMap(view) {
  const plot = createPlot({
    className: "samlib-picture samlib-basin-plane", margin: { left: 34, right: 8, top: 8, bottom: 26 }, square: true,
    onResize: view.redraw,
  }); // prettier-ignore
  const handle = createHandle(view, plot, () => [0, 1], { text: "start", label: "The chosen start" });
  const names = svg("g", { "aria-hidden": "true" });
  plot.marks.prepend(names);
  const picture = document.createElement("canvas");
  /** @type {unknown[]} what the picture was painted of */
  let painted = [];
  const lines = createLines();

  /** The window's square of the plot. @param {number[]} center @param {number} reach */
  function scales([a, b], reach) {
    const { left, right, top, bottom } = plot.box;
    return {
      x: scaleLinear([a - reach, a + reach], [left, right]),
      y: scaleLinear([b - reach, b + reach], [bottom, top]),
    };
  }

  /** The picture lies where its task had it, so that it moves along until the next one is there. @param {Scale} x @param {Scale} y */
  function drawField(x, y) {
    const { field, loss, inks, box } = view.world;
    if (!field) return;
    if ([field, inks].some((part, i) => part !== painted[i])) {
      picture.width = picture.height = field.size;
      picture.getContext("2d")?.putImageData(paintField(field, loss, inks, box), 0, 0);
      painted = [field, inks];
    }
    const { center, reach } = field.task;
    const [left, top] = [x(center[0] - reach), y(center[1] + reach)];
    plot.context.imageSmoothingQuality = "high";
    plot.context.drawImage(picture, left, top, x(center[0] + reach) - left, y(center[1] - reach) - top);
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { state, world } = view;
    const { x, y } = scales(state.center, state.reach);
    plot.name(`Where ${NAMES[state.method]} takes each start`, world.loss.names[0], world.loss.names[1]);
    plot.clear();
    drawField(x, y);
    lines.draw(plot, world, state);
    drawPlaces(plot.context, names, world.landmarks, x, y, box);
    drawRun(plot.context, world.run, x, y);
    plot.axes(x, y, { xTicks: x.ticks(5), yTicks: y.ticks(5), xFormat: number, yFormat: number });
    handle.show(x, y);
  }

  return {
    plot, handle, draw,
    /** Where a pointer is, in the coordinates of the map. @param {{clientX: number, clientY: number}} event */
    pointAt({ clientX, clientY }) {
      const { left, top } = plot.svg.getBoundingClientRect();
      const { x, y } = scales(view.state.center, view.state.reach);
      return [x.invert(clientX - left), y.invert(clientY - top)];
    },
  }; // prettier-ignore
}

/** Contours of the loss, computed for a window once. */
function createLines() {
  const shape = { key: "", path: new Path2D() };

  /** @param {import("./figure.js").World} world @param {import("./figure.js").State} state */
  function pathOf({ loss, key }, { center, reach }) {
    const point = new Float64Array(2);
    const at = (/** @type {number} */ k, /** @type {number} */ middle) => middle + reach * ((2 * (k + 0.5)) / GRID - 1);
    const values = Array.from({ length: GRID * GRID }, (_, k) => {
      point[0] = at(k % GRID, center[0]);
      point[1] = at(GRID - 1 - Math.floor(k / GRID), center[1]);
      return loss.landscape.value(point);
    });
    const finite = values.filter(Number.isFinite);
    const [low, high] = [Math.min(...finite), Math.max(...finite)];
    const levels = Array.from({ length: 11 }, (_, i) => low + (high - low) * 2 ** (i - 10.5));
    const path = new Path2D();
    for (const { coordinates } of contours().size([GRID, GRID]).thresholds(levels)(values)) {
      for (const ring of coordinates.flat()) ring.forEach(([c, r], i) => (i ? path.lineTo(c, r) : path.moveTo(c, r)));
    }
    return { key: String([key, center, reach]), path };
  }

  return {
    /** @param {import("../../shared/plot.js").Plot} plot @param {import("./figure.js").World} world @param {import("./figure.js").State} state */
    draw({ context, box }, world, state) {
      if (world.loss.landscape.dim !== 2) return;
      if (shape.key !== String([world.key, state.center, state.reach])) Object.assign(shape, pathOf(world, state));
      const side = (box.right - box.left) / GRID;
      context.save();
      context.translate(box.left, box.top);
      context.scale(side, side);
      context.lineWidth = 0.8 / side;
      context.strokeStyle = "rgb(255 255 255 / 0.3)";
      context.stroke(shape.path);
      context.restore();
    },
  };
}

/**
 * The places, and what they are called if they are few.
 *
 * @param {CanvasRenderingContext2D} context @param {SVGGElement} names @param {import("./figure.js").Landmark[]} landmarks
 * @param {Scale} x @param {Scale} y @param {import("../../shared/plot.js").Box} box
 */
function drawPlaces(context, names, landmarks, x, y, box) {
  const inside = landmarks.filter(({ at: [a, b] }) =>
    x(a) >= box.left && x(a) <= box.right && y(b) >= box.top && y(b) <= box.bottom); // prettier-ignore
  for (const { at, type } of inside) {
    const [px, py] = [x(at[0]), y(at[1])];
    const shape = new Path2D();
    if (type === "saddle") shape.addPath(new Path2D(`M${px - 5} ${py - 5}l10 10m0 -10l-10 10`));
    else shape.arc(px, py, 4.5, 0, 7);
    context.lineCap = "round";
    context.strokeStyle = "rgb(255 255 255 / 0.9)";
    context.lineWidth = 4.5;
    context.stroke(shape);
    context.strokeStyle = "#1f2328";
    context.lineWidth = 2;
    context.stroke(shape);
  }
  const texts = inside.filter(({ name }) => name).map(({ at, name }) => {
    const [px, py] = [x(at[0]), y(at[1])];
    const text = svg("text", { class: "samlib-basin-name", "text-anchor": "middle", x: px.toFixed(1), y: (py + (py > box.bottom - 30 ? -12 : 22)).toFixed(1) }, name);
    return text;
  }); // prettier-ignore
  names.replaceChildren(...texts);
}

/**
 * The path, the cycle at its end, and where SAM looks from there.
 *
 * @param {CanvasRenderingContext2D} context @param {import("./run.js").Run | null} run @param {Scale} x @param {Scale} y
 */
function drawRun(context, run, x, y) {
  if (!run) return;
  const samples = sampleSteps(keySteps(run.x.length / run.dim - 3));
  const px = Float64Array.from(samples, (t) => onCanvas(x(run.x[run.dim * t])));
  const py = Float64Array.from(samples, (t) => onCanvas(y(run.x[run.dim * t + 1])));
  context.lineJoin = context.lineCap = "round";
  for (const [width, colour] of /** @type {const} */ ([[3.5, "rgb(255 255 255 / 0.85)"], [1.5, "#1f2328"]])) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    traceBranches(context, px, py, samples.length);
  }
  const ends = run.cycle.map(([a, b]) => [x(a), y(b)]);
  context.setLineDash([3, 4]);
  for (const [i, [a, b]] of run.climbs.entries()) {
    const shape = new Path2D(`M${ends[i].map(onCanvas).join(" ")}L${onCanvas(x(a))} ${onCanvas(y(b))}`);
    stroke(context, shape, 3.5, "rgb(255 255 255 / 0.8)", 1.75, "#00517d");
  }
  context.setLineDash([]);
  for (const [a, b] of run.climbs) dot(context, x(a), y(b), 3, "#00517d");
  for (const [px, py] of ends) dot(context, px, py, 4.5, "#1f2328");
}

/** A line with a light seam, so that it is seen on every color. @param {CanvasRenderingContext2D} context @param {Path2D} shape @param {number} wide @param {string} seam @param {number} thin @param {string} colour */
function stroke(context, shape, wide, seam, thin, colour) {
  context.lineWidth = wide;
  context.strokeStyle = seam;
  context.stroke(shape);
  context.lineWidth = thin;
  context.strokeStyle = colour;
  context.stroke(shape);
}

/** @param {CanvasRenderingContext2D} context @param {number} px @param {number} py @param {number} radius @param {string} colour */
function dot(context, px, py, radius, colour) {
  context.beginPath();
  context.arc(onCanvas(px), onCanvas(py), radius, 0, 7);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#ffffff";
  context.stroke();
}
