// The pictures of the figure "LimitingFlow": λ₁, the trace and the alignment over time, the fitted function or the
// directions of the gradient, and the distance to the flow against ρ and η.

import { scaleLinear } from "d3-scale";
import { button } from "../../shared/buttons.js";
import { html } from "../../shared/dom.js";
import { createDistances } from "./distances.js";
import { createFitted } from "./fitted.js";
import { createOverTime } from "./over-time.js";
import { createPlane } from "./plane.js";

/** @param {import("./figure.js").View} view */
export function createFlowPlots(view) {
  const top = createOverTime(view, "λ₁ at the nearest minimizer", "top_eigenvalue");
  const trace = createOverTime(view, "Trace at the nearest minimizer", "trace");
  const alignment = createOverTime(view, "Alignment |cos∠(∇L, v₁)|", "alignment");
  const either = createEither(view);
  const byRho = createDistances(view, "rho", "ρ");
  const byLr = createDistances(view, "lr", "η");
  return {
    /** Where the button that fills in the distances goes. */
    sweepable: byRho.plot.heading,
    elements: [top.plot, trace.plot, alignment.plot, either, byRho.plot, byLr.plot].map(({ el }) => el),
    dispose() {
      for (const { plot } of [top, trace, alignment, ...either.pictures, byRho, byLr]) plot.dispose();
    },
    draw() {
      const flows = Object.values(view.bench.ground?.flows ?? {});
      const lambda = rangeOf(flows.flatMap((flow) => [...flow.top_eigenvalue]));
      const sum = rangeOf(flows.flatMap((flow) => [...flow.trace]));
      top.draw(lambda, scaleLinear(lambda, [0, 1]).ticks(4));
      trace.draw(sum, scaleLinear(sum, [0, 1]).ticks(4));
      alignment.draw([0, 1.05], [0, 0.5, 1]);
      either.draw();
      byRho.draw();
      byLr.draw();
    },
  };
}

/** The fitted function, or the directions of the gradient in its place. @param {import("./figure.js").View} view */
function createEither(view) {
  const fitted = createFitted(view);
  const plane = createPlane(view);
  const other = button({
    label: "Show the other picture", text: "Direction of ∇L", className: "samlib-small",
    onPress: () => view.update({ panel: view.state.panel === "plane" ? "function" : "plane" }),
  }); // prettier-ignore
  other.dataset.control = "panel";
  return {
    el: html("div", { class: "samlib-panel samlib-either" }, fitted.plot.el, plane.plot.el, other),
    pictures: [fitted, plane],
    draw() {
      const turned = view.state.panel === "plane";
      fitted.plot.el.hidden = turned;
      plane.plot.el.hidden = !turned;
      other.textContent = turned ? "Fitted function" : "Direction of ∇L";
      (turned ? plane : fitted).draw();
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
