// L along three directions.

import { scaleLinear } from "d3-scale";
import { constants } from "../../schema.js";
import { drawLevels } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { createPlot } from "../../shared/plot.js";
import { DASHES, NOTIONS, drawLine, drawPlaces, drawWhisker, markNotion } from "./drawing.js";

/** @typedef {import("./view.js").Radius} Radius */
/** @typedef {(value: number) => number} Scale */

/** The loss is given from −REACH·ρ to REACH·ρ. */
const REACH = constants.explore.reach;

/** Where the i-th of so many values is, in units of ρ. @param {number} i @param {number} many */
const partOf = (i, many) => (2 * REACH * i) / (many - 1) - REACH;

/** @param {import("./view.js").View} view */
export function createProfile(view) {
  const plot = createPlot({
    className: "samlib-panel",
    margin: { left: 66, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("Along three directions u: L(x + su) − L(x)", "s", "");
  const labels = createLabels(plot, ["left", "right"]);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, shown, faint } = view;
    plot.clear();
    for (const side of ["left", "right"]) labels.hide(side, !shown);
    if (!shown) return;
    const { rho } = shown;
    const [low, high] = bounds(shown);
    const x = scaleLinear([-REACH * rho, REACH * rho], [box.left, box.right]);
    const y = scaleLinear([low, high], [box.bottom, box.top]);
    const ticks = y.ticks(5);
    drawLevels(plot, colours.line, ticks.map(y));
    drawPlaces(plot, colours.faint, [x(-rho), x(rho)]);
    context.globalAlpha = faint ? 0.35 : 1;
    drawRises(shown, x, y);
    drawSharpness(shown, x, y);
    context.globalAlpha = 1;
    plot.axes(x, y, { xTicks: [-REACH * rho, 0, REACH * rho], yTicks: ticks, xFormat: number, yFormat: number });
    labels.put("left", x(-rho), box.bottom + 18, "−ρ", "middle");
    labels.put("right", x(rho), box.bottom + 18, "ρ", "middle");
  }

  /** @param {Radius} shown @param {Scale} x @param {Scale} y */
  function drawRises({ rho, profiles }, x, y) {
    const { colours } = view;
    for (const name of /** @type {const} */ (["random", "ascent", "worst"])) {
      const rises = profiles[name];
      if (!rises) continue;
      context.strokeStyle = name === "random" ? colours.soft : colours[name];
      context.lineWidth = name === "random" ? 2 : 2.5;
      context.setLineDash(DASHES[name]);
      drawLine(context, rises, (i) => x(rho * partOf(i, rises.length)), y);
    }
    context.setLineDash([]);
  }

  /** Where the notions find theirs. @param {Radius} shown @param {Scale} x @param {Scale} y */
  function drawSharpness({ rho, length, average, ascent, worst }, x, y) {
    const { colours } = view;
    if (average?.value != null) {
      context.strokeStyle = colours.average;
      for (const side of [-rho, rho]) {
        const error = average.error ?? 0;
        drawWhisker(context, x(side), y(average.value - error), y(average.value + error));
        markNotion(context, "average", x(side), y(average.value), colours);
      }
    }
    if (ascent?.value != null) markNotion(context, "ascent", x(rho), y(ascent.value), colours);
    if (worst?.value != null) markNotion(context, "worst", x(rho * (length ?? 1)), y(worst.value), colours);
  }

  return { plot, draw };
}

/** Of the rises within ±ρ, with some room; beyond ±ρ curves may leave the picture. @param {Radius} shown */
function bounds(shown) {
  const inside = Object.values(shown.profiles).flatMap((rises) =>
    rises.filter((rise, i) => rise !== null && Math.abs(partOf(i, rises.length)) <= 1.05),
  );
  const values = NOTIONS.map((notion) => shown[notion]?.value ?? 0);
  const high = Math.max(...values, ...inside.map(Number));
  const low = Math.min(...values, ...inside.map(Number));
  const room = 0.25 * (high - low || 1);
  return [low - room, high + room];
}
