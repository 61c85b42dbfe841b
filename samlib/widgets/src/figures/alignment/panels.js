// The panels over time, which share a logarithmic axis of steps: angle, distance, sharpness, shares.

import { scaleLinear, scaleLog } from "d3-scale";
import { decade, number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { markDescent, markSam } from "./runs.js";
import { createShares } from "./shares.js";
import { SLACK, createTimePanel } from "./time-panel.js";

/** Angles, in degrees, that the panel shows. */
const ANGLES = [1e-3, 120];
const ANGLE_TICKS = [0.001, 0.01, 0.1, 1, 10, 90];

/** @typedef {ReturnType<typeof createTimePanel>} Panel */

/** @param {import("./view.js").View} view */
export function createPanels(view) {
  const { world } = view;
  const angle = createTimePanel(view, "Angle between ∇L and v₁");
  const distance = createTimePanel(view, "");
  const shares = createShares(view);
  const sharpness = createTimePanel(view, "λ₁ at the nearest minimizer", "samlib-sharpness");
  const limitName = createLabels(distance.plot, ["limit"]);

  /**
   * Both runs.
   *
   * @param {Panel} panel @param {any} y the vertical scale, without its range
   * @param {number[]} yTicks @param {(value: number) => string} yFormat
   * @param {"angle" | "distance" | "sharpness"} name @param {[number, number]} now SAM and descent
   * @param {Float64Array} [predicted]
   */
  function drawPanel({ plot, prepare, line }, y, yTicks, yFormat, name, now, predicted) {
    const { context, box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { sam, descent } = world;
    const { here, height } = prepare(y, yTicks, yFormat);
    line(descent[name], height, colours.gradient_descent, [6, 4]);
    line(sam[name], height, colours.sam, []);
    if (predicted) line(predicted, height, colours.ink, [2, 3]);
    markDescent(context, here, height(now[1]), colours);
    markSam(context, here, height(now[0]), colours);
    if (!predicted) return;
    const end = height(predicted[predicted.length - 1]);
    limitName.hide("limit", !Number.isFinite(end));
    if (Number.isFinite(end)) {
      const below = end < box.top + 24;
      limitName.put("limit", box.right - SLACK, end + (below ? 18 : -8), "ηρλ₁/(2 − ηλ₁)", "end");
    }
  }

  /** @param {number} here where the frame's iterates are */
  function drawDistance(here) {
    const { state, sam, descent, limit, flat } = world;
    const first = world.distance(state.start) || 1;
    const level = limit[0] > 0 && Number.isFinite(limit[0]) ? limit[0] : first;
    const low = Math.floor(Math.log10(Math.min(level, first) / 2));
    // A run that diverges is followed for three decades.
    const cap = 1e3 * Math.max(level, first);
    const farthest = Math.max(level, sam.distance.reduce((a, b) => (b > a ? b : a), first));
    const high = Math.ceil(Math.log10(1.1 * Math.min(farthest, cap)));
    const decades = Array.from({ length: high - low + 1 }, (_, k) => 10 ** (low + k));
    distance.plot.name(
      flat ? "Distance from the minimum, ‖x‖" : "Distance from Γ, ‖(x₃, x₄)‖", "step (log scale)", "",
    ); // prettier-ignore
    drawPanel(
      distance, scaleLog([decades[0], decades[high - low]], [0, 1]), decades, decade,
      "distance", [world.distance(sam.x, here), world.distance(descent.x, here)], limit,
    ); // prettier-ignore
  }

  function draw() {
    const { state, sam, descent, at, descentAt, flat, dim } = world;
    const here = state.frame * dim;
    drawPanel(
      angle, scaleLog(ANGLES, [0, 1]), ANGLE_TICKS, (v) => `${v}°`,
      "angle", [at.angle, descentAt.angle],
    ); // prettier-ignore
    drawDistance(here);
    if (flat) {
      shares.draw();
      return;
    }
    const top = Math.max(18, 2 * Math.ceil((Math.min(world.sharpness(state.start), 60) + 0.5) / 2));
    drawPanel(
      sharpness, scaleLinear([15, top + 0.5], [0, 1]), [16, (16 + top) / 2, top], number,
      "sharpness", [world.sharpness(sam.x, here), world.sharpness(descent.x, here)],
    ); // prettier-ignore
  }

  return {
    plots: { angle: angle.plot, distance: distance.plot, sharpness: sharpness.plot, shares: shares.plot },
    draw,
  };
}
