// The pictures of the figure "LimitingFlow": λ₁, the trace and the alignment over time, the fitted function or the
// directions of the gradient, and the distance to the flow against ρ and η.

import { scaleLinear } from "d3-scale";
import { createLegend, line } from "../../shared/legend.js";
import { createDistances } from "./distances.js";
import { createFitted } from "./fitted.js";
import { createOverTime } from "./over-time.js";
import { createPlane } from "./plane.js";

/** @param {import("./figure.js").View} view */
export function createFlowPlots(view) {
  const top = createOverTime(view, "λ₁ at the nearest minimizer", "top_eigenvalue", "samlib-picture");
  const trace = createOverTime(view, "Trace at the nearest minimizer", "trace");
  const alignment = createOverTime(view, "Alignment |cos∠(∇L, v₁)|", "alignment");
  const fitted = createFitted(view);
  const plane = createPlane(view);
  const byRho = createDistances(view, "rho", "ρ");
  const byLr = createDistances(view, "lr", "η");
  const before = createLegend([["gradient_descent", [line()], "as gradient descent had fitted it"]]);
  return {
    /** Where the button that fills in the distances goes. */
    sweepable: byRho.plot.heading,
    picture: top.plot.el,
    /** @type {import("../../shared/panels.js").Panel[]} */
    panels: [
      { name: "trace", title: "Trace", parts: [trace.plot.el] },
      { name: "alignment", title: "Alignment", parts: [alignment.plot.el] },
      { name: "function", title: "Function", parts: [fitted.plot.el, before] },
      { name: "plane", title: "Direction", parts: [plane.plot.el] },
      { name: "distances", title: "Distances", parts: [byRho.plot.el, byLr.plot.el] },
    ],
    dispose() {
      for (const { plot } of [top, trace, alignment, fitted, plane, byRho, byLr]) plot.dispose();
    },
    draw() {
      const flows = Object.values(view.bench.ground?.flows ?? {});
      const lambda = rangeOf(flows.flatMap((flow) => [...flow.top_eigenvalue]));
      const sum = rangeOf(flows.flatMap((flow) => [...flow.trace]));
      top.draw(lambda, scaleLinear(lambda, [0, 1]).ticks(4));
      trace.draw(sum, scaleLinear(sum, [0, 1]).ticks(4));
      alignment.draw([0, 1.05], [0, 0.5, 1]);
      for (const picture of [fitted, plane, byRho, byLr]) picture.draw();
    },
  };
}

/** What both flows cover of λ₁ or the trace, with room below for runs that overtake them. @param {number[]} values */
function rangeOf(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const range = high - low;
  return /** @type {[number, number]} */ (range > 0 ? [low - 0.3 * range, high + 0.1 * range] : [0, 2]);
}
