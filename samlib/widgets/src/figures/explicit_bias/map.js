// The map of Γ, coloured by a quantity, with the point that each notion prefers.

import { factor1, factor2 } from "../../dynamics/four-dimensional.js";
import { PREFERRED, limitingRegularizers } from "../../dynamics/limiting-regularizers.js";
import { number } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels } from "../../shared/labels.js";
import { planeIn, squareFrom, ticksAlong } from "../../shared/plane.js";
import { createPlot } from "../../shared/plot.js";
import { createRelief } from "../../shared/relief.js";
import { drawPreferred } from "./marks.js";
import { NOTIONS, QUANTITIES } from "./quantities.js";

/** @typedef {import("./view.js").View} View */

/** @param {View} view */
export function createMap(view) {
  const [low, high] = view.config.limits.point;
  const plot = createPlot({
    className: "samlib-picture",
    margin: { left: 44, right: 10, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  const relief = createRelief(plot);
  const most = Math.max(...Object.values(QUANTITIES).map(({ labelled }) => labelled.length));
  const levels = Array.from({ length: most }, (_, k) => `level ${k}`);
  const labels = createLabels(plot, [...levels, "crossing", ...NOTIONS]);
  const handle = createHandle(view, plot, () => [0, 1], { trait: "point", text: "x", label: "Point x of Γ" });

  /** Where F₁ = F₂ the eigenvalues change places, and λ₁ has a kink. @param {any} x @param {any} y */
  function drawCrossing(x, y) {
    const { context } = plot;
    context.strokeStyle = view.colours.soft;
    context.lineWidth = 1.25;
    context.setLineDash([5, 4]);
    context.beginPath();
    for (let b = low; b <= high; b += (high - low) / 60) {
      const a = bisect(low - 1, high, (v) => factor2(v, b) - factor1(v, b));
      context.lineTo(x(a), y(b));
    }
    context.stroke();
    context.setLineDash([]);
    const at = low + 0.03 * (high - low);
    const left = bisect(low - 1, high, (v) => factor2(v, at) - factor1(v, at));
    labels.put("crossing", x(left) + 6, y(at), "λ₁ = λ_M", "start");
  }

  /** @param {any} x @param {any} y */
  function labelContours(x, y) {
    const { notion, times, symbol, labelled, towards } = QUANTITIES[view.state.quantity];
    const [a, b] = PREFERRED[notion];
    levels.forEach((name, k) => {
      labels.hide(name, k >= labelled.length);
      if (k >= labelled.length) return;
      /** @param {number} s @returns {[number, number]} */
      const along = (s) => [a + s * (towards[0] - a), b + s * (towards[1] - b)];
      const s = bisect(0, 1, (t) => labelled[k] - times * limitingRegularizers(...along(t))[notion]);
      const [x1, x2] = along(s);
      labels.put(name, x(x1), y(x2) + 4, k === 0 ? `${symbol} = ${labelled[k]}` : `${labelled[k]}`, "middle");
    });
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, state } = view;
    const chosen = QUANTITIES[state.quantity];
    plot.name(chosen.title, "x₁", "x₂");
    plot.clear();
    const { x, y } = planeIn(box, ...squareFrom(low, high));
    relief.draw({
      name: state.quantity,
      height: (a, b) => chosen.times * limitingRegularizers(a, b)[chosen.notion],
      levels: chosen.levels, x, y, colour: colours[chosen.notion],
    }); // prettier-ignore
    drawCrossing(x, y);
    labelContours(x, y);
    for (const { notion, symbol, times } of Object.values(QUANTITIES)) {
      const [a, b] = PREFERRED[notion];
      const isChosen = notion === chosen.notion;
      drawPreferred(plot.context, notion, x(a), y(b), colours, isChosen);
      const value = isChosen ? `: ${number(times * view.least[notion])}` : "";
      labels.put(notion, x(a), y(b) + 23, `least ${symbol}${value}`, "middle");
    }
    plot.axes(x, y, { xTicks: ticksAlong(x), yTicks: [-0.5, 0, 0.5, 1], xFormat: number, yFormat: number });
    handle.show(x, y);
  }

  return { plot, handle, draw };
}

/** Where a function that falls from positive to negative is zero. @param {number} a @param {number} b @param {(t: number) => number} f */
function bisect(a, b, f) {
  for (let k = 0; k < 40; k++) {
    const middle = (a + b) / 2;
    if (f(middle) > 0) a = middle;
    else b = middle;
  }
  return (a + b) / 2;
}
