// The panels over time, which share a logarithmic axis of steps: angle, distance, sharpness.

import { scaleLinear, scaleLog, scaleSymlog } from "d3-scale";
import { decade, number, subscript } from "../../shared/format.js";
import { createLabels, createPlot, drawGrid, onDrag, traceBranches } from "../../shared/plot.js";
import { disc, square } from "./runs.js";

/** Angles, in degrees, that the panel shows. */
const ANGLES = [1e-3, 120];
const ANGLE_TICKS = [0.001, 0.01, 0.1, 1, 10, 90];

/** Shares of the gradient that the panel shows. */
const SHARES = [1e-8, 2];
const SHARE_TICKS = [1e-8, 1e-6, 1e-4, 1e-2, 1];

/** Neighbours in the spectrum differ by their dashes. */
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]];

/** What separates the right end of the axis from that of the panel, so that marks are whole. */
const SLACK = 6;

const px = new Float64Array(2048);
const py = new Float64Array(2048);

/** @param {import("./view.js").View} view */
export function createPanels(view) {
  const { world, config } = view;
  const make = (/** @type {string} */ title, className = "") => {
    const plot = createPlot({
      className: `samlib-panel ${className}`,
      margin: { left: 46, right: 6, top: 8, bottom: 40 },
      onResize: view.redraw,
    });
    plot.name(title, "step (log scale)", "");
    onDrag(plot, (event) => scrub(plot, event));
    return plot;
  };
  const anglePlot = make("Angle between ∇L and v₁");
  const distancePlot = make("");
  const sharesPlot = make("SAM’s share along each eigenvector", "samlib-shares");
  const sharpnessPlot = make("λ₁ at the nearest minimizer", "samlib-sharpness");
  const labels = createLabels(distancePlot, ["limit"]);
  const directions = config.sliders.quadratic.dimension[1];
  const names = createLabels(sharesPlot, Array.from({ length: directions }, (_, i) => String(i)));

  /** Show the step that is pointed at. @param {import("../../shared/plot.js").Plot} plot @param {PointerEvent} event */
  function scrub({ box, svg }, event) {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const part = Math.min(Math.max((at - box.left) / (box.right - SLACK - box.left), 0), 1);
    const t = Math.expm1(part * Math.log1p(world.state.steps));
    view.pause();
    view.update({ frame: world.keys.reduce((a, b) => (Math.abs(b - t) < Math.abs(a - t) ? b : a)) });
  }

  /**
   * Grid, axes and the step shown.
   *
   * @param {import("../../shared/plot.js").Plot} plot @param {any} y the vertical scale, without its range
   * @param {number[]} yTicks @param {(value: number) => string} yFormat
   */
  function prepare(plot, y, yTicks, yFormat) {
    const { context, box } = plot;
    const { colours } = view;
    const { samples, state } = world;
    plot.clear();
    const x = scaleSymlog([0, state.steps], [box.left, box.right - SLACK]);
    y.range([box.bottom, box.top]);
    const floor = box.bottom + 20;
    const height = (/** @type {number} */ v) => (v > 0 ? Math.min(y(v), floor) : v === 0 ? floor : NaN);
    for (let k = 0; k < samples.length; k++) px[k] = x(samples[k]);

    const here = x(state.frame);
    drawGrid(plot, colours, y, yTicks, here);

    /** @type {number[]} those of the powers of ten whose labels do not touch */
    const xTicks = [];
    for (const t of [0, 1, 10, 100, 1000, 10_000, 100_000]) {
      const last = xTicks.at(-1);
      if (t <= state.steps && (last === undefined || x(t) - x(last) > 30)) xTicks.push(t);
    }
    const xFormat = (/** @type {number} */ t) => (t >= 1000 ? `${t / 1000}k` : String(t));
    plot.axes(x, y, { xTicks, yTicks, xFormat, yFormat });

    /** @param {Float64Array} values @param {string} colour @param {number[]} dash @param {number} [width] */
    function line(values, colour, dash, width = 2) {
      for (let k = 0; k < samples.length; k++) py[k] = height(values[k]);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dash);
      traceBranches(context, px, py, samples.length);
      context.setLineDash([]);
    }
    return { here, height, line };
  }

  /**
   * Both runs.
   *
   * @param {import("../../shared/plot.js").Plot} plot @param {any} y the vertical scale, without its range
   * @param {number[]} yTicks @param {(value: number) => string} yFormat
   * @param {"angle" | "distance" | "sharpness"} name @param {[number, number]} now SAM and descent
   * @param {Float64Array} [predicted]
   */
  function drawPanel(plot, y, yTicks, yFormat, name, now, predicted) {
    const { context, box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { sam, descent } = world;
    const { here, height, line } = prepare(plot, y, yTicks, yFormat);
    line(descent[name], colours["gradient-descent"], [6, 4]);
    line(sam[name], colours.sam, []);
    if (predicted) line(predicted, colours.ink, [2, 3]);
    square(context, here, height(now[1]), colours);
    disc(context, here, height(now[0]), colours);
    if (!predicted) return;
    const end = height(predicted[predicted.length - 1]);
    labels.hide("limit", !Number.isFinite(end));
    if (Number.isFinite(end)) {
      const below = end < box.top + 24;
      labels.put("limit", box.right - SLACK, end + (below ? 18 : -8), "ηρλ₁/(2 − ηλ₁)", "end");
    }
  }

  /** The share of the gradient along each eigenvector, that of v₁ strongest. */
  function drawShares() {
    const { context, box } = sharesPlot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { state, shares, pointed, samples } = world;
    const { here, height, line } = prepare(sharesPlot, scaleLog(SHARES, [0, 1]), SHARE_TICKS, decade);
    const order = shares.map((_, i) => i).sort((a, b) => state.eigenvalues[b] - state.eigenvalues[a]);
    for (const i of [...order].reverse()) {
      const top = i === order[0];
      const dash = top ? [] : DASHES[order.indexOf(i) % DASHES.length];
      line(shares[i], top ? colours.eigenvector : colours.sam, dash, i === pointed ? 4 : top ? 2.5 : 1.5);
    }
    // Discs where the step is, and names where the lines leave the panel, as far as there is room.
    const now = world.share(world.at.gradient);
    for (const i of order) {
      if (now[i] > SHARES[0]) disc(context, here, height(now[i]), colours, i === order[0] ? 6 : 3.5);
    }
    /** @type {[number, number][]} */
    const taken = [];
    for (let i = 0; i < directions; i++) names.hide(String(i), true);
    for (const i of pointed >= 0 && pointed < order.length ? [pointed, ...order] : order) {
      let k = samples.length - 1;
      while (k > 0 && !(shares[i][k] > 2 * SHARES[0])) k--;
      const level = height(shares[i][k]);
      const at = /** @type {[number, number]} */ ([
        Math.min(px[k] + 4, box.right - 20), Math.min(level < box.top + 24 ? level + 17 : level - 7, box.bottom - 6),
      ]); // prettier-ignore
      if (!Number.isFinite(at[1]) || taken.some(([x, y]) => Math.abs(x - at[0]) < 18 && Math.abs(y - at[1]) < 14)) continue;
      taken.push(at);
      names.hide(String(i), false);
      names.put(String(i), ...at, i === order[0] ? "v₁" : `x${subscript(i + 1)}`, "start");
    }
  }

  function draw() {
    const { state, sam, descent, limit, at, descentAt, flat, dim } = world;
    const here = state.frame * dim;

    drawPanel(
      anglePlot, scaleLog(ANGLES, [0, 1]), ANGLE_TICKS, (v) => `${v}°`,
      "angle", [at.angle, descentAt.angle],
    ); // prettier-ignore

    const first = world.distance(state.start) || 1;
    const level = limit[0] > 0 && Number.isFinite(limit[0]) ? limit[0] : first;
    const low = Math.floor(Math.log10(Math.min(level, first) / 2));
    // A run that diverges is followed for three decades.
    const cap = 1e3 * Math.max(level, first);
    const farthest = Math.max(level, sam.distance.reduce((a, b) => (b > a ? b : a), first));
    const high = Math.ceil(Math.log10(1.1 * Math.min(farthest, cap)));
    const decades = Array.from({ length: high - low + 1 }, (_, k) => 10 ** (low + k));
    distancePlot.name(
      flat ? "Distance from the minimum, ‖x‖" : "Distance from Γ, ‖(x₃, x₄)‖", "step (log scale)", "",
    ); // prettier-ignore
    drawPanel(
      distancePlot, scaleLog([decades[0], decades[high - low]], [0, 1]), decades, decade,
      "distance", [world.distance(sam.x, here), world.distance(descent.x, here)], limit,
    ); // prettier-ignore

    if (flat) {
      drawShares();
      return;
    }
    const top = Math.max(18, 2 * Math.ceil((Math.min(world.sharpness(state.start), 60) + 0.5) / 2));
    drawPanel(
      sharpnessPlot, scaleLinear([15, top + 0.5], [0, 1]), [16, (16 + top) / 2, top], number,
      "sharpness", [world.sharpness(sam.x, here), world.sharpness(descent.x, here)],
    ); // prettier-ignore
  }

  return { plots: [anglePlot, distancePlot, sharpnessPlot], shares: sharesPlot, draw };
}
