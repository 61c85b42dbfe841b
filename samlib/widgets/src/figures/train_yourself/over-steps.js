// One quantity of both runs over the steps.

import { scaleLinear, scaleLog } from "d3-scale";
import { drawLevels } from "../../shared/drawing.js";
import { decade, niceCeil, number, shortCount } from "../../shared/format.js";
import { createPlot } from "../../shared/plot.js";
import { RUNS, acrossSteps, methodOf, strokeLine, styleOf } from "./lines.js";
import { METHODS } from "./methods.js";

/** @typedef {import("./history.js").Reading} Reading */
/** @typedef {(reading: Reading) => number | undefined} Quantity */

/**
 * @typedef {object} What
 * @property {string} title
 * @property {Quantity[]} lines of each run; all but the first are fainter
 * @property {Quantity} [error] of the first, drawn as a band
 * @property {"linear" | "log" | "unit" | "percent"} [scale]
 * @property {0 | 1} [only] the run that is shown, if it is one
 */

/** The axis of what was not measured yet. */
const NOTHING = { y: scaleLinear([0, 1], [0, 1]), ticks: [], format: number };

/** How strong the lines after the first are drawn. */
const FAINT = 0.45;

/** @param {import("./figure.js").View} view @param {What} what */
export function createOverSteps(view, what) {
  const { title, lines, error, scale = "linear", only } = what;
  const runs = only === undefined ? RUNS : [only];
  const plot = createPlot({
    className: "samlib-panel samlib-train-panel",
    margin: { left: 44, right: 12, top: 8, bottom: 36 },
    onResize: view.redraw,
  });

  /** @param {any} x @param {any} y @param {0 | 1} run */
  function drawRun(x, y, run) {
    const { looks } = view.session.now.history;
    const style = styleOf(view, run);
    const px = (/** @type {number} */ i) => x(looks[i].step);
    if (error) drawBand(x, y, run, style.colour);
    lines.forEach((quantity, k) => {
      const more = { width: k ? 1.5 : 2, alpha: k ? FAINT : 1 };
      strokeLine(plot.context, { ...style, ...more }, looks.length, px, (i) => {
        const value = quantity(looks[i].runs[run]);
        return value === undefined ? undefined : y(value);
      });
    });
  }

  /** @param {any} x @param {any} y @param {0 | 1} run @param {string} colour */
  function drawBand(x, y, run, colour) {
    const known = view.session.now.history.looks.filter((look) => lines[0](look.runs[run]) !== undefined);
    const edge = (/** @type {import("./history.js").Look} */ look, /** @type {1 | -1} */ side) =>
      y(Number(lines[0](look.runs[run])) + side * Number(error?.(look.runs[run]) ?? 0));
    const { context } = plot;
    context.beginPath();
    known.forEach((look) => context.lineTo(x(look.step), edge(look, 1)));
    known.reverse().forEach((look) => context.lineTo(x(look.step), edge(look, -1)));
    Object.assign(context, { fillStyle: colour, globalAlpha: 0.25 });
    context.fill();
    context.globalAlpha = 1;
  }

  function draw() {
    const { box } = plot;
    plot.name(only === undefined ? title : `${title}: ${METHODS[methodOf(view.state, only)]}`, "step", "");
    if (box.right <= box.left) return;
    const x = acrossSteps(view, plot);
    plot.clear();
    const range = valuesOf(view, lines);
    const { y, ticks, format } = range ? vertical(scale, range) : NOTHING;
    y.range([box.bottom, box.top]);
    drawLevels(plot, view.colours.line, ticks.map((tick) => y(tick)));
    plot.axes(x, y, { xTicks: x.ticks(4), yTicks: ticks, xFormat: shortCount, yFormat: format });
    for (const run of runs) drawRun(x, y, run);
  }

  return { plot, draw };
}

/** Least and largest of some quantities, of both runs so that two panels compare. @param {import("./figure.js").View} view @param {Quantity[]} lines @returns {[number, number] | null} */
function valuesOf(view, lines) {
  let [low, high] = [Infinity, -Infinity];
  for (const { runs } of view.session.now.history.looks) {
    for (const reading of runs) {
      for (const quantity of lines) {
        const value = quantity(reading);
        if (value === undefined || !Number.isFinite(value)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
  }
  return low <= high ? [low, high] : null;
}

/**
 * The vertical axis. It moves in steps, so that it is not drawn anew at every look.
 *
 * @param {NonNullable<What["scale"]>} scale @param {[number, number]} range
 */
function vertical(scale, [low, high]) {
  if (scale === "unit" || scale === "percent") {
    const top = scale === "unit" ? 1 : 100;
    return { y: scaleLinear([0, 1.04 * top], [0, 1]), ticks: [0, top / 2, top], format: number };
  }
  if (scale === "linear") {
    const y = scaleLinear([Math.min(0, -niceCeil(Math.max(-low, 1e-9))), niceCeil(1.05 * Math.max(high, 1e-9))], [0, 1]);
    if (low >= 0) y.domain([0, y.domain()[1]]);
    return { y, ticks: y.ticks(4), format: number };
  }
  const bottom = 10 ** (Math.floor(2 * Math.log10(Math.max(low, 1e-9))) / 2);
  const top = 10 ** (Math.ceil(2 * Math.log10(Math.max(high, 2e-9))) / 2);
  const y = scaleLog([bottom, Math.max(top, 3 * bottom)], [0, 1]);
  const ticks = [1, 3].flatMap((m) => Array.from({ length: 14 }, (_, k) => m * 10 ** (k - 10)));
  const [least, most] = y.domain();
  return { y, ticks: ticks.filter((t) => t >= least * 0.999 && t <= most * 1.001).sort((a, b) => a - b), format: logTick };
}

/** @param {number} value */
const logTick = (value) => (value >= 1e-3 ? number(value, 1) : decade(value));
