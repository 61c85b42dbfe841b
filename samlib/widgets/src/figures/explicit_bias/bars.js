// The three limiting regularizers at x on one axis.

import { scaleLinear } from "d3-scale";
import { limitingRegularizers } from "../../dynamics/limiting-regularizers.js";
import { html } from "../../shared/dom.js";
import { niceCeil, number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { createPlot } from "../../shared/plot.js";
import { BAR, bar, drawBand } from "./band.js";
import { drawPreferred } from "./marks.js";
import { NOTIONS } from "./quantities.js";

/** @typedef {import("./view.js").View} View */

/** Tops of the bars; below the band there is room for the names of its marks. */
const TOPS = { worst: 22, ascent: 72, average: 142 };

/** @param {View} view */
export function createBars(view) {
  const [low, high] = view.config.limits.point;
  /** @type {[number, number][]} */
  const corners = [[low, low], [low, high], [high, low], [high, high]]; // prettier-ignore
  // Convex, so that it is largest at a corner: the axis stands still while x moves.
  const most = niceCeil(Math.max(...corners.map((c) => limitingRegularizers(...c).worst)));
  const plot = createPlot({
    className: "samlib-regularizers",
    margin: { left: 10, right: 10, top: 2, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("Limiting regularizers at x", "S = lim R_ρ/ρ²", "");
  plot.heading.append(html("span", { class: "samlib-aside" }, "above its least"));
  const names = NOTIONS.flatMap((n) => [n, `${n} excess`]);
  const labels = createLabels(plot, [...names, "liminf", "side"]);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, here, least } = view;
    plot.clear();
    const x = scaleLinear([0, most], [box.left, box.right]);
    const texts = {
      worst: `Sᴹᵃˣ = λ₁/2 = ${number(here.worst)}`,
      ascent: `Sᴬˢᶜ: λ_M/2 = ${number(here.ascent)} to λ₁/2 = ${number(here.worst)}`,
      average: `Sᴬᵛᵍ = Tr/8 = ${number(here.average)}`,
    };
    for (const notion of NOTIONS) {
      const y = box.top + TOPS[notion];
      const excess = here[notion] - least[notion];
      bar(context, y, x(0), x(least[notion]), colours[notion], 0.3);
      bar(context, y, x(least[notion]), x(here[notion]), colours[notion], 0.85);
      if (notion === "ascent") drawBand(view, plot, labels, x, y);
      drawPreferred(context, notion, x(least[notion]), y + BAR / 2, colours);
      labels.put(notion, box.left, y - 7, texts[notion], "start");
      labels.put(`${notion} excess`, box.right, y - 7, excess < 1e-3 ? "< 0.001" : `+${number(excess)}`, "end");
    }
    const ticks = x.ticks(5);
    plot.axes(x, scaleLinear([0, 1], [box.bottom, box.top]), {
      xTicks: ticks, yTicks: [], xFormat: number, yFormat: number,
    }); // prettier-ignore
  }

  return { plot, draw };
}
