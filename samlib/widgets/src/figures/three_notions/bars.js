// The three sharpnesses as bars, and as ticks what second order predicts.

import { scaleLinear } from "d3-scale";
import { niceCeil, number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { createPlot } from "../../shared/plot.js";
import { KINDS } from "./notions.js";

/** @typedef {import("./figure.js").View} View */

const SHORT = { worst: "Rᴹᵃˣ", ascent: "Rᴬˢᶜ", average: "Rᴬᵛᵍ" };

/** @param {View} view */
export function createBars(view) {
  const { world } = view;
  const plot = createPlot({
    className: "samlib-panel",
    margin: { left: 50, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("The three rises; ticks: to second order", "R, the rise of L", "");
  const labels = createLabels(plot, [...KINDS]);
  const { context } = plot;
  let low = 0;
  let high = 1;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { at } = world;
    plot.clear();
    const all = KINDS.flatMap((kind) => [at[kind].sharpness, at[kind].predicted]);
    const most = Math.max(...all);
    const least = Math.min(...all);
    if (!view.dragging || most > high || least < low) {
      high = niceCeil(1.02 * most || 1);
      low = least < -1e-12 * high ? -niceCeil(-least) : 0;
    }
    // Room beside the longest bar for its number.
    const x = scaleLinear([low, high], [box.left, box.right - 52]);
    const y = scaleLinear([0, 3], [box.top, box.bottom]);
    const thickness = Math.min(18, (box.bottom - box.top) / 4.5);
    KINDS.forEach((kind, row) => {
      const middle = y(row + 0.5);
      const end = x(at[kind].sharpness);
      context.fillStyle = colours[kind];
      context.fillRect(Math.min(x(0), end), middle - thickness / 2, Math.max(Math.abs(end - x(0)), 1), thickness);
      const tick = x(at[kind].predicted);
      context.fillStyle = colours.ink;
      context.fillRect(tick - 1.25, middle - thickness / 2 - 4, 2.5, thickness + 8);
      labels.put(kind, Math.max(x(0), end, tick) + 6, middle + 4, number(at[kind].sharpness), "start");
    });
    context.strokeStyle = colours.faint;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x(0), box.top);
    context.lineTo(x(0), box.bottom);
    context.stroke();
    plot.axes(x, y, {
      xTicks: low < 0 && x(0) - x(low) > 40 ? [low, 0, high] : [0, high / 2, high], yTicks: [0.5, 1.5, 2.5], xFormat: number,
      yFormat: (row) => SHORT[KINDS[Math.floor(row)]],
    }); // prettier-ignore
  }

  return { plot, draw };
}
