// L around the circle.

import { scaleLinear } from "d3-scale";
import { niceCeil, number } from "../../shared/format.js";
import { disc, paint, square } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { AROUND } from "./notions.js";

/** @typedef {import("./figure.js").View} View */

/** @param {View} view */
export function createProfile(view) {
  const { state, world } = view;
  const plot = createPlot({
    className: "samlib-panel",
    margin: { left: 50, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("L(x + ρu) − L(x) around the circle; dotted: to second order", "angle of u", "");
  const { context } = plot;
  let low = 0;
  let high = 1;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { at } = world;
    plot.clear();
    if (!view.dragging || Math.max(...at.profile) > high || Math.min(...at.profile) < low) {
      high = niceCeil(Math.max(...at.profile) || 1);
      const least = Math.min(...at.profile);
      low = least < 0 ? -niceCeil(-least) : 0;
    }
    const x = scaleLinear([0, 360], [box.left, box.right]);
    const y = scaleLinear([low, high], [box.bottom - 4, box.top + 6]);
    line(x, y, () => 0, colours.line, 1, []);
    line(x, y, (i) => at.model[i], colours.soft, 1.5, [2, 3]);
    line(x, y, (i) => at.profile[i], colours.ink, 2, []);
    line(x, y, () => at.average.sharpness, colours.average, 2, [7, 4]);
    for (const kind of /** @type {const} */ (["worst", "ascent"])) {
      const degrees = (((at[kind].angle * 180) / Math.PI) % 360 + 360) % 360; // prettier-ignore
      const [px, py] = [x(degrees), y(at[kind].sharpness)];
      paint(context, kind === "worst" ? disc(px, py, 6.5) : square(px, py, 4.5), colours[kind], colours.plot, 1.5);
    }
    // A label for the lowest value, unless it would touch that of 0.
    const yTicks = low < 0 && y(low) - y(0) > 14 ? [low, 0, high] : [0, high / 2, high];
    plot.axes(x, y, {
      xTicks: [0, 90, 180, 270, 360], yTicks, xFormat: (v) => `${v}°`, yFormat: number,
    }); // prettier-ignore
  }

  /**
   * @param {(v: number) => number} x @param {(v: number) => number} y
   * @param {(i: number) => number} f @param {string} colour @param {number} width @param {number[]} dash
   */
  function line(x, y, f, colour, width, dash) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    for (let i = 0; i <= AROUND; i++) context.lineTo(x((360 * i) / AROUND), y(f(i % AROUND)));
    context.stroke();
    context.setLineDash([]);
  }

  return { plot, draw };
}
