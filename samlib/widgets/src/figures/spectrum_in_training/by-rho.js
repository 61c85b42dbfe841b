// One quantity at the step shown, for every ρ.

import { scaleLinear } from "d3-scale";
import { onDrag } from "../../shared/drag.js";
import { drawGrid } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { DASHES, colourOf, drawMark } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { drawLine } from "./marks.js";

/** @typedef {import("./sweep.js").Run} Run */

/** @param {import("./figure.js").View} view @param {string} title */
export function createByRho(view, title) {
  const { rhos } = view.sweep;
  const plot = createPlot({
    className: "samlib-panel samlib-by-rho",
    margin: { left: 40, right: 10, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name(title, "ρ (the values computed)", "");
  onDrag(plot, (event) => {
    const at = Math.round(scale().invert(event.clientX - plot.svg.getBoundingClientRect().left));
    view.update({ rho: rhos[Math.min(Math.max(at, 0), rhos.length - 1)] });
  });

  /** The values of ρ side by side, as equal steps. */
  const scale = () => scaleLinear([-0.4, rhos.length - 0.6], [plot.box.left, plot.box.right]);

  /** @param {number} high @param {(run: Run, rho: number) => number} value */
  function draw(high, value) {
    const { context, box } = plot;
    if (box.right <= box.left) return null;
    const { colours } = view;
    const { rho, runs } = view.now();
    plot.clear();
    const x = scale();
    const y = scaleLinear([0, high], [box.bottom, box.top]);
    const yTicks = y.ticks(4);
    const px = rhos.map((_, i) => x(i));
    drawGrid(plot, colours, y, yTicks, px[rho]);
    for (const run of runs) drawLine(context, colourOf(run, colours), DASHES[run], 2, px, (i) => y(value(run, i)));
    for (const run of runs) {
      if (run === "gradient_descent") continue; // it has no ρ
      for (const i of px.keys()) drawMark(context, run, px[i], y(value(run, i)), colours);
    }
    plot.axes(x, y, { xTicks: rhos.map((_, i) => i), yTicks, xFormat: (i) => number(rhos[i]), yFormat: number });
    return { px, y };
  }

  return { plot, draw };
}
