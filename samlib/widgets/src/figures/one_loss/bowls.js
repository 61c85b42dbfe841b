// The bowl (x₃, x₄) ↦ L across Γ where each of the three runs is, as surfaces that the reader can turn.

import { factor1, factor2 } from "../../dynamics/four-dimensional.js";
import { onDrag } from "../../shared/drag.js";
import { createLabels } from "../../shared/labels.js";
import { colourOf, drawMark } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { METHODS } from "./destinations.js";

/** @typedef {import("./figure.js").View} View */

/** @typedef {import("./destinations.js").Method} Method */

/** @type {Record<Method, string>} */
export const TITLES = { sam: "SAM", one_sam: "1-SAM", ascent_loss_descent: "descent on Lᴬˢᶜ" };

/** Rings and spokes of a surface. */
const RINGS = 7;
const SPOKES = 36;

/** How far above the horizon the reader's eye is, as a sine and a cosine. */
const TILT = { sin: 0.42, cos: 0.91 };

/** The value of F at which a wall is as high as the bowl is wide. */
const STEEP = 10;

/** @param {View} view */
export function createBowls(view) {
  const { world } = view;
  const { state } = world;
  const plot = createPlot({
    className: "samlib-tall samlib-bowls",
    margin: { left: 4, right: 4, top: 4, bottom: 4 },
    onResize: view.redraw,
  });
  plot.name("Across Γ: the bowl (x₃, x₄) ↦ L where each run is", "", "");
  const labels = createLabels(plot, METHODS);
  const { context } = plot;

  let from = 0;
  let began = 0;
  onDrag(plot, (event) => {
    if (event.type === "pointerdown") [from, began] = [event.clientX, state.turn];
    view.update({ turn: Math.round((((began + (event.clientX - from) / 2) % 360) + 360) % 360) });
  });

  /**
   * One bowl: L = F₁x₃² + F₂x₄² over a disc, drawn from back to front.
   *
   * @param {Method} method
   * @param {number} cx @param {number} cy the bottom of the bowl @param {number} size half its width
   */
  function drawBowl(method, cx, cy, size) {
    const { colours } = view;
    const at = 4 * state.frame;
    const run = world.runs[method].x;
    const f1 = factor1(run[at], run[at + 1]) / STEEP;
    const f2 = factor2(run[at], run[at + 1]) / STEEP;
    if (!(f1 + f2 < 1e6)) {
      labels.put(method, cx, cy - size, `${TITLES[method]} has diverged`, "middle");
      return;
    }
    const see = perspective(state.turn, f1, f2, cx, cy, size);
    const patches = patchesOf(see);
    drawPatches(context, patches, colourOf(method, colours));
    const rim = patches.flatMap(({ corners }) => corners.map((p) => p.y));
    labels.put(method, cx, Math.max(Math.min(...rim) - 8, plot.box.top + 12), TITLES[method], "middle");
    // The run itself, as long as it has not shrunk into the bottom.
    const reach = Math.max(Math.hypot(state.start[2], state.start[3]), 1e-9);
    const a = run[at + 2] / reach;
    const b = run[at + 3] / reach;
    const here = see(a, b);
    if (Math.hypot(a, b) <= 1.05) drawMark(context, method, here.x, here.y, colours);
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    plot.clear();
    const width = box.right - box.left;
    const height = box.bottom - box.top;
    const size = Math.min(width / 6.4, height / 2);
    /** @type {[number, number][]} where the bottoms are: side by side */
    const places = [
      [box.left + width / 6, box.top + height * 0.94],
      [box.left + width / 2, box.top + height * 0.94],
      [box.left + (width * 5) / 6, box.top + height * 0.94],
    ];
    METHODS.forEach((method, i) => {
      const [cx, cy] = places[i];
      drawBowl(method, cx, cy - 0.1 * size, size);
    });
  }

  return { plot, draw };
}

/** @typedef {{x: number, y: number, depth: number}} Seen pixels, and how near to the reader */

/**
 * x₃ and x₄ in units of the reach → what is seen of the point on the surface.
 *
 * @param {number} turn in degrees @param {number} f1 @param {number} f2
 * @param {number} cx @param {number} cy @param {number} size
 * @returns {(a: number, b: number) => Seen}
 */
function perspective(turn, f1, f2, cx, cy, size) {
  const angle = (turn * Math.PI) / 180;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return (a, b) => {
    const height = f1 * a * a + f2 * b * b;
    const depth = s * a + c * b;
    return { x: cx + size * (c * a - s * b), y: cy + size * (TILT.sin * depth - TILT.cos * height), depth };
  };
}

/** The surface between rings and spokes, from back to front. @param {(a: number, b: number) => Seen} see */
function patchesOf(see) {
  const point = (/** @type {number} */ ring, /** @type {number} */ spoke) => {
    const r = ring / RINGS;
    const phi = (2 * Math.PI * spoke) / SPOKES;
    return see(r * Math.cos(phi), r * Math.sin(phi));
  };
  const patches = [];
  for (let ring = 0; ring < RINGS; ring++) {
    for (let spoke = 0; spoke < SPOKES; spoke++) {
      const corners = [point(ring, spoke), point(ring + 1, spoke), point(ring + 1, spoke + 1), point(ring, spoke + 1)];
      patches.push({ corners, ring, depth: corners.reduce((sum, p) => sum + p.depth, 0) });
    }
  }
  return patches.sort((p, q) => p.depth - q.depth);
}

/** @param {CanvasRenderingContext2D} context @param {{corners: Seen[], ring: number}[]} patches @param {string} colour */
function drawPatches(context, patches, colour) {
  context.lineWidth = 0.75;
  for (const { corners, ring } of patches) {
    context.beginPath();
    for (const p of corners) context.lineTo(p.x, p.y);
    context.closePath();
    // Translucent, so that the front wall does not hide the inside.
    context.globalAlpha = 0.04 + (0.16 * (ring + 1)) / RINGS;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 0.45;
    context.strokeStyle = colour;
    context.stroke();
  }
  context.globalAlpha = 1;
}
