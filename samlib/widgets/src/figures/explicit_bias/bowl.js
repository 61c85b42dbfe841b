// The bowl across Γ at x, with x′ and the direction of the gradient there.

import { factor1, factor2 } from "../../dynamics/four-dimensional.js";
import { html } from "../../shared/dom.js";
import { arrow } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels } from "../../shared/labels.js";
import { planeIn } from "../../shared/plane.js";
import { createPlot } from "../../shared/plot.js";

/** @typedef {import("./view.js").View} View */

/** The bowl shows (x₃, x₄) from −REACH to REACH, in units of the distance ε of x′ from Γ. */
export const REACH = 1.6;

/** @param {View} view */
export function createBowl(view) {
  const plot = createPlot({
    className: "samlib-tall",
    margin: { left: 44, right: 10, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  plot.name("The bowl across Γ at x", "x₃/ε", "x₄/ε");
  const picked = html("span", { class: "samlib-aside" });
  plot.heading.append(picked);
  const labels = createLabels(plot, ["u", "x′", "across", "up"]);
  const { context } = plot;

  const handle = createHandle(moverOf(view), plot, () => [2, 3], {
    trait: "nearby", text: "", label: "Point x′ near x, across Γ",
  }); // prettier-ignore

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, state, from } = view;
    const f1 = factor1(state.point[0], state.point[1]);
    const f2 = factor2(state.point[0], state.point[1]);
    plot.clear();
    const { x, y, unit } = planeIn(box, [0, 0], REACH);
    drawBowl(view, plot, x, y, unit);

    const turn = (state.approach * Math.PI) / 180;
    const [px, py] = [x(Math.cos(turn)), y(Math.sin(turn))];
    const length = 0.5 * unit;
    const [u3, u4] = from.u;
    arrow(context, px, py, length * u3, -length * u4, colours.ascent, 3);
    const ticks = [-1, 0, 1];
    plot.axes(x, y, { xTicks: ticks, yTicks: ticks, xFormat: number, yFormat: number });
    labels.put("u", px + length * u3 + 13 * u4, py - length * u4 + 13 * u3 + 4, "u", "middle");
    labels.put("x′", px - 25 * u3, py + 25 * u4 + 4, "x′", "middle");
    picked.textContent = `½uᵀ∇²L u = ${number(from.value)}`;
    const [across, up] = f1 >= f2 ? ["λ₁", "λ_M"] : ["λ_M", "λ₁"];
    labels.put("across", box.left + 6, y(0) - 8, `${across} = ${number(2 * f1)}`, "start");
    labels.put("up", x(0) + 8, box.bottom - 8, `${up} = ${number(2 * f2)}`, "start");
    handle.show(x, y);
  }

  return { plot, handle, draw };
}

/**
 * What is the same in all bowls: the contours of L across Γ, the eigenvectors and the circle of x′.
 *
 * @param {View} view @param {import("../../shared/plot.js").Plot} plot
 * @param {(v: number) => number} x @param {(v: number) => number} y @param {number} unit in pixels
 */
export function drawBowl(view, plot, x, y, unit) {
  const [x1, x2] = view.state.point;
  const [f1, f2] = [factor1(x1, x2), factor2(x1, x2)];
  drawContours(view, plot.context, x(0), y(0), f1, f2, unit);
  drawAxesAndCircle(view, plot, x, y, unit, f1 >= f2);
}

/**
 * Where F₁x₃² + F₂x₄² = c there is an ellipse.
 *
 * @param {View} view @param {CanvasRenderingContext2D} context @param {number} cx @param {number} cy
 * @param {number} f1 @param {number} f2 @param {number} unit
 */
function drawContours({ colours }, context, cx, cy, f1, f2, unit) {
  context.lineWidth = 1;
  context.strokeStyle = context.fillStyle = colours.faint;
  for (let c = 256; c > 0.2; c /= 2) {
    context.beginPath();
    context.ellipse(cx, cy, unit * Math.sqrt(c / f1), unit * Math.sqrt(c / f2), 0, 0, 7);
    context.globalAlpha = 0.06;
    context.fill();
    context.globalAlpha = 0.5;
    context.stroke();
  }
  context.globalAlpha = 1;
}

/**
 * The eigenvectors, which lie along the axes (which of them is v₁ depends on x), and the circle of x′.
 *
 * @param {View} view @param {import("../../shared/plot.js").Plot} plot
 * @param {(v: number) => number} x @param {(v: number) => number} y @param {number} unit @param {boolean} steep
 */
function drawAxesAndCircle({ colours }, { context, box }, x, y, unit, steep) {
  const { left, right, top, bottom } = box;
  line(context, left, y(0), right, y(0), colours, steep ? "worst" : "ascent");
  line(context, x(0), bottom, x(0), top, colours, steep ? "ascent" : "worst");
  context.strokeStyle = colours.soft;
  context.lineWidth = 1.25;
  context.setLineDash([2, 4]);
  context.beginPath();
  context.arc(x(0), y(0), unit, 0, 7);
  context.stroke();
  context.setLineDash([]);
}

/**
 * The line of a notion: that of λ₁ is whole, that of λ_M broken.
 *
 * @param {CanvasRenderingContext2D} context @param {number} ax @param {number} ay @param {number} bx @param {number} by
 * @param {import("../../shared/theme.js").Palette} colours @param {"worst" | "ascent"} notion
 */
export function line(context, ax, ay, bx, by, colours, notion) {
  context.strokeStyle = colours[notion];
  context.lineWidth = 1.5;
  context.setLineDash(notion === "worst" ? [] : [7, 4]);
  context.beginPath();
  context.moveTo(ax, ay);
  context.lineTo(bx, by);
  context.stroke();
  context.setLineDash([]);
}

/**
 * x′ is moved like any point, and keeps to the quarter of the circle.
 *
 * @param {View} view
 * @returns {import("../../shared/handle.js").Mover}
 */
function moverOf(view) {
  return {
    get state() {
      const turn = (view.state.approach * Math.PI) / 180;
      return { nearby: [0, 0, Math.cos(turn), Math.sin(turn)] };
    },
    config: { limits: { nearby: [0, REACH] } },
    get dragging() {
      return view.dragging;
    },
    set dragging(value) {
      view.dragging = value;
    },
    redraw: view.redraw,
    pause: view.pause,
    update({ nearby: [, , c, s] }) {
      if (c || s) view.update({ approach: Number(((Math.atan2(s, c) * 180) / Math.PI).toFixed(1)) });
    },
  };
}
