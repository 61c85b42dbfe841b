// The loss along v₁, as it is now: how steep the wall is that SAM climbs, and how far it climbs.

import { scaleLinear } from "d3-scale";
import { drawLevels } from "../../shared/drawing.js";
import { niceCeil, number } from "../../shared/format.js";
import { createPlot } from "../../shared/plot.js";
import { RUNS, strokeLine, styleOf } from "./lines.js";
import { LEAST_REACH, REACH } from "./measuring.js";

/** @param {import("./figure.js").View} view */
export function createProfile(view) {
  const plot = createPlot({
    className: "samlib-panel samlib-train-panel",
    margin: { left: 44, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("The loss along v₁ now, and the ball of radius ρ", "distance along v₁, uphill to the right", "");

  function draw() {
    const { box, context } = plot;
    if (box.right <= box.left) return;
    const { rho } = view.state;
    const profiles = view.session.now.moment.map((each) => each?.profile ?? null);
    const reach = Math.max(REACH * rho, LEAST_REACH);
    const x = scaleLinear([-reach, reach], [box.left, box.right]);
    const highest = Math.max(...profiles.flatMap((each) => (each ? [...each.loss].filter(Number.isFinite) : [])), 1e-6);
    const y = scaleLinear([0, niceCeil(1.05 * highest)], [box.bottom, box.top]);
    const yTicks = profiles.some(Boolean) ? y.ticks(4) : [];
    plot.clear();
    context.fillStyle = view.colours.ascent;
    context.globalAlpha = 0.1;
    context.fillRect(x(-rho), box.top, x(rho) - x(-rho), box.bottom - box.top);
    context.globalAlpha = 1;
    drawLevels(plot, view.colours.line, yTicks.map((tick) => y(tick)));
    plot.axes(x, y, { xTicks: x.ticks(5), yTicks, xFormat: number, yFormat: number });
    for (const run of RUNS) {
      const profile = profiles[run];
      if (!profile) continue;
      strokeLine(context, styleOf(view, run), profile.at.length, (i) => x(profile.at[i]), (i) => y(profile.loss[i]));
    }
  }

  return { plot, draw };
}
