// The figure "ExplicitBias": which minimizers each notion of sharpness prefers.
//
// Three pictures of one point x of Γ: where it is on the map of Γ, what the three limiting regularizers
// are there, and the bowl across Γ, where the gradient at a nearby x′ picks one number of S^Asc's band. From there
// two runs come to Γ.

import { choice } from "../../shared/buttons.js";
import { html, svg } from "../../shared/dom.js";
import { createLegend, method, pointed } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { traitControls } from "../../shared/trait-controls.js";
import { createArrival } from "./arrival.js";
import { distance, lr, rho } from "./arrivals.js";
import { createBars } from "./bars.js";
import { createBowl } from "./bowl.js";
import { describe } from "./describe.js";
import { createMap } from "./map.js";
import { MARKS } from "./marks.js";
import { pythonOf } from "./python.js";
import { NOTIONS } from "./quantities.js";
import { tableOf } from "./table.js";
import { createView } from "./view.js";

/** @typedef {import("./quantities.js").Quantity} Quantity */

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderExplicitBias(context) {
  const view = createView(context);
  const map = createMap(view);
  const bars = createBars(view);
  const bowl = createBowl(view);
  const arrival = createArrival(view);
  const colouring = choice({
    legend: "Colour the map by",
    options: [["top_eigenvalue", "λ₁"], ["smallest_nonzero_eigenvalue", "λ_M"], ["trace", "Trace"]],
    onInput: (quantity) => view.update({ quantity: /** @type {Quantity} */ (quantity) }),
  }); // prettier-ignore
  const controls = traitControls(
    view,
    { approach: { label: "Angle of x′", scale: "linear" } },
    { trait: "point", title: "Point x", labels: ["x₁", "x₂"] },
  );
  return view.mount({
    className: "samlib-explicit-bias",
    choices: null,
    hint: "Drag x over the valley Γ: which of the three falls, and who would like that?",
    legend: legend(),
    stage: [map.plot.el],
    main: html("div", { class: "samlib-field" }, html("span", { "aria-hidden": "true" }, "Map of"), colouring.el),
    panels: [
      { name: "bars", title: "Sharpnesses", parts: [bars.plot.el, legendOfBars()] },
      { name: "bowl", title: "Across Γ", parts: [bowl.plot.el, legendOfBowl()] },
      { name: "arrival", title: "On the way in", parts: [...arrival.plots.map(({ el }) => el), arrival.player.el, legendOfArrival()] },
    ],
    player: arrival.player,
    controls: controls.el,
    handles: [map.handle, bowl.handle],
    compute: view.compute,
    draw() {
      colouring.show(view.state.quantity);
      controls.show();
      map.draw();
      bars.draw();
      bowl.draw();
      arrival.draw();
    },
    describe: () => describe(view),
    table: () => tableOf(view),
    python: () => pythonOf(view),
    ...linksOf(view, { labels: { approach: "angle", frame: "step" } }),
    dispose() {
      for (const plot of [map.plot, bars.plot, bowl.plot, ...arrival.plots]) plot.dispose();
    },
  });
}

/** What the lines and marks are. */
function legend() {
  /** @type {Record<import("./quantities.js").Notion, string>} */
  const names = { worst: "worst: λ₁", ascent: "ascent: λ_M", average: "average: trace" };
  return createLegend([
    ...NOTIONS.map((notion) => /** @type {import("../../shared/legend.js").Entry} */ ([
      `notion-${notion}`,
      [svg("path", { d: MARKS[notion], transform: "translate(16 7) scale(0.9)" })],
      names[notion],
    ])),
  ]); // prettier-ignore
}

const legendOfBowl = () => createLegend([["ascent", [pointed()], "u, direction of ∇L at x′"]]);

const legendOfArrival = () =>
  createLegend([method("gradient_descent", "gradient descent"), method("sam", `SAM (η = ${lr}, ρ = ${rho}, ε = ${distance})`)]);

const legendOfBars = () =>
  createLegend([["sides", [svg("path", { d: "M4 3v8M12 3v8M20 3v8M28 3v8" })], "Sᴬˢᶜ from 0°, 10°, …, 90°"]]);
