// The top eigenvalues as stems.

import { scaleLinear } from "d3-scale";
import { drawLevels } from "../../shared/drawing.js";
import { niceCeil, number } from "../../shared/format.js";
import { drawWhisker, withError } from "./drawing.js";
import { createPanel, drawDisc } from "./panel.js";

/** @param {import("./view.js").View} view */
export function createSpectrum(view) {
  const { plot, places, say } = createPanel(view, "Top eigenvalues of ∇²L");
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, point } = view;
    plot.clear();
    if (!point) return;
    const { eigenvalues, residuals } = point;
    say(`λ₁ = ${withError(eigenvalues[0], residuals[0])}${point.converged ? "" : ", not settled"}`);
    const { x, xTicks, xFormat } = places(eigenvalues.length, "λ");
    const numbers = eigenvalues.map((value) => value ?? 0);
    const high = niceCeil(1.1 * Math.max(...numbers, 0) || 1);
    const low = Math.min(...numbers, 0) < 0 ? -niceCeil(-Math.min(...numbers)) : 0;
    const y = scaleLinear([low, high], [box.bottom, box.top]);
    const yTicks = [low, 0, high / 2, high].filter((value, i) => i > 0 || value < 0);
    drawLevels(plot, colours.line, yTicks.map(y));
    numbers.forEach((value, i) => {
      const px = x(i + 1);
      context.strokeStyle = colours.ink;
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(px, y(0));
      context.lineTo(px, y(value));
      context.stroke();
      drawWhisker(context, px, y(value - (residuals[i] ?? 0)), y(value + (residuals[i] ?? 0)));
      drawDisc(context, px, y(value), i, colours);
    });
    plot.axes(x, y, { xTicks, yTicks, xFormat, yFormat: number });
  }

  return { plot, draw };
}
