// The plane: contours of L, the circle, and the directions.

import { arrow } from "../../shared/drawing.js";
import { niceCeil, number } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels } from "../../shared/labels.js";
import { planeIn, ticksAlong } from "../../shared/plane.js";
import { createPlot } from "../../shared/plot.js";
import { createRelief } from "../../shared/relief.js";

/** @typedef {import("./figure.js").View} View */

/** The middle of what the plane shows, where it is not the origin. @type {Partial<Record<import("./figure.js").Loss, number[]>>} */
const CENTRES = { "curved valley": [0, 1] };

/** Half of what the plane shows, unless the circle needs more. */
const HALF = 2;

/** A rise with its sign. @param {number} value */
const signed = (value) => (value < 0 ? number(value) : `+${number(value)}`);

/** @param {View} view */
export function createPlane(view) {
  const { state, world } = view;
  const plot = createPlot({
    className: "samlib-picture",
    margin: { left: 38, right: 10, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  plot.name("L, and the circle of radius ρ around x", "x₁", "x₂");
  const labels = createLabels(plot, ["worst", "∇L", "average", "Γ"]);
  const handle = createHandle(view, plot, () => [0, 1], { trait: "point", text: "x", label: "The point x" });
  const { context } = plot;
  const relief = createRelief(plot);
  let half = HALF;

  /** Filled contours of L. @param {import("../../shared/plane.js").Scale} x @param {import("../../shared/plane.js").Scale} y */
  function drawRelief(x, y) {
    const { value } = world.landscape;
    const at = new Float64Array(2);
    const height = (/** @type {number} */ a, /** @type {number} */ b) => {
      at[0] = a;
      at[1] = b;
      return value(at);
    };
    // L = c; c doubles from one to the next, as for a quadratic where the distance grows by √2.
    const highest = Math.max(...x.domain().flatMap((a) => y.domain().map((b) => height(a, b))));
    const levels = Array.from({ length: 16 }, (_, n) => highest * 2 ** (n - 16));
    relief.draw({ name: state.loss, height, levels, x, y, colour: view.colours.faint, opacity: 0.04 });
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const [x1, x2] = state.point;
    const [cx, cy] = CENTRES[state.loss] ?? [0, 0];
    plot.clear();
    if (!view.dragging) {
      const reach = Math.max(Math.abs(x1 - cx), Math.abs(x2 - cy)) + Math.min(state.rho, 2 * HALF);
      half = reach <= HALF * 1.2 ? HALF : niceCeil(reach);
    }
    const { x, y } = planeIn(box, [cx, cy], half);
    drawRelief(x, y);
    drawMinimizers(x, y);
    drawDirections(x(x1), y(x2), x(x1 + state.rho) - x(x1));
    const ticks = [-1, -0.5, 0, 0.5, 1];
    plot.axes(x, y, {
      xTicks: ticksAlong(x), yTicks: ticks.map((part) => cy + part * half),
      xFormat: number, yFormat: number,
    }); // prettier-ignore
    const { worst, ascent } = world.at;
    handle.show(x, y, { below: Math.sin(worst.angle) + Math.sin(ascent.angle) > 0 });
  }

  /** The circle, the worst direction and the gradient's. @param {number} px @param {number} py @param {number} radius in pixels */
  function drawDirections(px, py, radius) {
    const { box } = plot;
    const { colours } = view;
    const { worst, ascent, tie } = world.at;
    context.strokeStyle = colours.average;
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(px, py, radius, 0, 7);
    context.stroke();
    const reach = (/** @type {number} */ angle) => [radius * Math.cos(angle), -radius * Math.sin(angle)];
    const [wx, wy] = reach(worst.angle);
    const [gx, gy] = reach(ascent.angle);
    if (tie) {
      context.setLineDash([3, 4]);
      arrow(context, px, py, -wx, -wy, colours.worst, 2);
      context.setLineDash([]);
    }
    arrow(context, px, py, wx, wy, colours.worst, 3.5);
    arrow(context, px, py, gx, gy, colours.ascent, 2);
    const turn = Math.sign(Math.sin(ascent.angle - worst.angle)) || 1;
    const { at } = world;
    label("worst", `worst ${signed(at.worst.sharpness)}`, px, py, radius, worst.angle, -turn);
    label("∇L", `∇L ${signed(at.ascent.sharpness)}`, px, py, radius, ascent.angle, turn);
    // Where neither of the two points.
    const away = Math.sin(worst.angle) + Math.sin(ascent.angle) > 0 ? 1 : -1;
    const below = py + away * (radius + 12) + 4;
    const seen = radius > 12 && below > box.top + 12 && below < box.bottom - 4;
    labels.hide("average", !seen);
    if (seen) labels.put("average", px, below, `average ${signed(at.average.sharpness)}`, "middle");
  }

  /**
   * At the tip of an arrow.
   *
   * @param {string} name @param {string} text @param {number} px @param {number} py @param {number} radius
   * @param {number} angle @param {number} side of the arrow
   */
  function label(name, text, px, py, radius, angle, side) {
    const { box } = plot;
    const beyond = radius + 13;
    const lx = px + beyond * Math.cos(angle) - 13 * side * Math.sin(angle);
    const ly = py - beyond * Math.sin(angle) - 13 * side * Math.cos(angle);
    const inside = lx > box.left + 18 && lx < box.right - 18 && ly > box.top + 8 && ly < box.bottom - 4;
    const shown = inside && radius > 12;
    labels.hide(name, !shown);
    if (!shown) return;
    // Outwards; without its number where there is no room.
    const room = Math.min(box.right - lx, lx - box.left) > 8 * text.length;
    const aside = Math.cos(angle);
    const anchor = !room || Math.abs(aside) < 0.3 ? "middle" : aside < 0 ? "end" : "start";
    labels.put(name, lx, ly + 4, room ? text : name, anchor);
  }

  /** Where L is least: dots, or the line Γ. @param {(v: number) => number} x @param {(v: number) => number} y */
  function drawMinimizers(x, y) {
    const { colours } = view;
    const curve = state.loss === "curved valley";
    labels.hide("Γ", !curve);
    context.strokeStyle = context.fillStyle = colours.ink;
    if (!curve) {
      for (const x1 of state.loss === "saddle" ? [-1, 1] : [0]) {
        context.beginPath();
        context.arc(x(x1), y(0), 3, 0, 7);
        context.fill();
      }
      return;
    }
    context.lineWidth = 1.25;
    context.setLineDash([2, 3]);
    context.beginPath();
    for (let k = -50; k <= 50; k++) context.lineTo(x((half * k) / 50), y(((half * k) / 50) ** 2 / 2));
    context.stroke();
    context.setLineDash([]);
    labels.put("Γ", x(-0.66 * half), y((0.66 * half) ** 2 / 2) - 6, "Γ", "start");
  }

  return { plot, handle, draw };
}
