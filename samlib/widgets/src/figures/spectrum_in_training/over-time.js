// One quantity over time.

import { scaleSqrt } from "d3-scale";
import { onDrag } from "../../shared/drag.js";
import { drawGrid } from "../../shared/drawing.js";
import { shortCount } from "../../shared/format.js";
import { DASHES, colourOf, drawMark } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";
import { SLACK, TIME, drawLine } from "./marks.js";

/** @typedef {import("./sweep.js").Run} Run */

/** @param {import("./figure.js").View} view @param {string} className @param {string} title */
export function createOverTime(view, className, title) {
  const { steps } = view.sweep;
  const last = steps[steps.length - 1];
  const plot = createPlot({
    className,
    margin: { left: 40, right: 10, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name(title, TIME, "");
  onDrag(plot, (event) => {
    const x = scale();
    const at = event.clientX - plot.svg.getBoundingClientRect().left;
    const distances = steps.map((t) => Math.abs(x(t) - at));
    view.pause();
    view.update({ step: steps[distances.indexOf(Math.min(...distances))] });
  });

  const scale = () => scaleSqrt([0, last], [plot.box.left, plot.box.right - SLACK]);

  /**
   * @param {any} y the vertical scale, without its range @param {number[]} yTicks
   * @param {(v: number) => string} yFormat
   * @param {(run: Run, step: number) => number} value
   */
  function draw(y, yTicks, yFormat, value) {
    const { context, box } = plot;
    if (box.right <= box.left) return null;
    const { colours } = view;
    const { step, runs } = view.now();
    plot.clear();
    const x = scale();
    y.range([box.bottom, box.top]);
    const px = steps.map((t) => x(t));
    drawGrid(plot, colours, y, yTicks, px[step]);
    for (const run of runs) drawLine(context, colourOf(run, colours), DASHES[run], 2, px, (i) => y(value(run, i)));
    for (const run of runs) drawMark(context, run, px[step], y(value(run, step)), colours);
    const wide = box.right - box.left > 230;
    plot.axes(x, y, {
      xTicks: wide ? [0, 100, 500, 1000, 2000, 4000, 6000] : [0, 500, 2000, 6000],
      yTicks, yFormat, xFormat: shortCount,
    }); // prettier-ignore
    return { px, y: (/** @type {number} */ v) => y(v) };
  }

  return { plot, draw };
}
