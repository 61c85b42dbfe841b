// The sharpnesses over ρ, with what the quadratic model says.

import { scaleLinear, scaleLog } from "d3-scale";
import { onDrag, partAcross } from "../../shared/drag.js";
import { drawLevels } from "../../shared/drawing.js";
import { decade, number } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { createPlot } from "../../shared/plot.js";
import { DASHES, NOTIONS, drawLine, drawPlaces, drawWhisker, markNotion } from "./drawing.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./view.js").Radius} Radius */
/** @typedef {(value: number) => number} Scale */

/** @param {View} view */
export function createRadii(view) {
  const plot = createPlot({
    className: "samlib-picture samlib-radii",
    margin: { left: 52, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.svg.classList.add("samlib-scrubbed");
  plot.name("Sharpness over ρ", "ρ (log scale)", "");
  const { context } = plot;
  const handle = createHandle(moverOf(view), plot, () => [0, 0], {
    trait: "rho", text: "ρ", label: "Radius ρ", along: "ρ",
  }); // prettier-ignore
  handle.group.dataset.control = "radius";
  let [left, right] = [-3, 0];

  onDrag(plot, (event) => view.pick(10 ** (left + partAcross(plot, event) * (right - left))));

  /** All that is shown, by ρ: measured, and being measured. */
  const known = () => {
    const { measured, current } = view;
    return current && !measured.some(({ rho }) => rho === current.rho) ? [...measured, current] : measured;
  };

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, point, state } = view;
    plot.clear();
    if (!view.dragging) {
      const [low, high] = view.config.sliders.rho;
      const places = [low, high, state.rho, ...known().map(({ rho }) => rho)].map(Math.log10);
      [left, right] = [Math.min(...places) - 0.08, Math.max(...places) + 0.08];
    }
    const [low, high] = heights(known(), point, left, right);
    const x = scaleLinear([left, right], [box.left, box.right]);
    const y = scaleLog([low, high], [box.bottom - 30, box.top + 4]);
    const yTicks = decades(Math.log10(low), Math.log10(high), 6);
    drawLevels(plot, colours.line, yTicks.map(y));
    drawPlaces(plot, colours.faint, [x(Math.log10(state.rho))]);
    const place = (/** @type {number} */ value) => y(value > 0 ? value : NaN);
    if (point) drawModel(point, x, place);
    for (const radius of known()) drawRadius(radius, x(Math.log10(radius.rho)), place, low);
    const xTicks = decades(left, right, 7).map(Math.log10);
    plot.axes(x, y, { xTicks, yTicks, xFormat: (v) => decade(10 ** v), yFormat: decade });
    handle.show(x, scaleLinear([0, 1], [box.bottom, box.top]), { level: 12 / (box.bottom - box.top) });
    handle.group.setAttribute("aria-valuenow", String(state.rho));
    handle.group.setAttribute("aria-valuetext", number(state.rho));
  }

  /** What the quadratic model says. @param {import("./view.js").Point} point @param {Scale} x @param {Scale} place */
  function drawModel(point, x, place) {
    for (const notion of NOTIONS) {
      context.strokeStyle = view.colours[notion];
      context.lineWidth = 1.25;
      context.setLineDash(DASHES[notion]);
      drawLine(context, point[notion], (i) => x(Math.log10(point.radii[i])), place);
      context.setLineDash([]);
    }
  }

  /** What was measured at a ρ. @param {Radius} radius @param {number} px @param {Scale} place @param {number} low the least that is shown */
  function drawRadius(radius, px, place, low) {
    const { colours } = view;
    for (const notion of NOTIONS) {
      const { value, error } = radius[notion] ?? {};
      if (value == null) continue;
      context.strokeStyle = colours[notion];
      // The worst direction is at least this bad; a higher climb could make it worse.
      const down = notion === "worst" ? value : Math.max(value - (error ?? 0), low);
      const up = notion === "worst" && error == null ? plot.box.top : place(value + (error ?? 0));
      if (value > 0 && notion !== "ascent") drawWhisker(context, px, place(down), up);
      if (value > 0) markNotion(context, notion, px, place(value), colours);
      else drawBelow(px, colours[notion]);
    }
  }

  /** An arrow to below: the value is not positive. @param {number} px @param {string} colour */
  function drawBelow(px, colour) {
    const { box } = plot;
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(px - 5, box.bottom - 34);
    context.lineTo(px + 5, box.bottom - 34);
    context.lineTo(px, box.bottom - 25);
    context.fill();
  }

  return {
    plot,
    draw,
    handle: {
      group: handle.group,
      /** @param {KeyboardEvent} event */
      key: (event) => view.step(event.key) || handle.key(event),
    },
  };
}

/**
 * ρ is moved by its logarithm.
 *
 * @param {View} view
 * @returns {import("../../shared/handle.js").Mover}
 */
function moverOf(view) {
  return {
    get state() {
      return { rho: [Math.log10(view.state.rho), 0] };
    },
    config: { limits: { rho: view.config.limits.rho.map(Math.log10) } },
    get dragging() {
      return view.dragging;
    },
    set dragging(value) {
      view.dragging = value;
    },
    redraw: view.redraw,
    pause: view.pause,
    update: ({ rho: [exponent] }) => view.pick(10 ** exponent),
  };
}

/**
 * The range of what is positive, in whole decades.
 *
 * @param {Radius[]} known @param {import("./view.js").Point | null} point @param {number} left @param {number} right
 */
function heights(known, point, left, right) {
  const values = known.flatMap((radius) => NOTIONS.map((notion) => radius[notion]?.value ?? 0));
  if (point) {
    point.radii.forEach((rho, i) => {
      if (Math.log10(rho) < left || Math.log10(rho) > right) return;
      for (const notion of NOTIONS) values.push(point[notion][i] ?? 0);
    });
  }
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return [1e-6, 1];
  const low = Math.floor(Math.log10(Math.min(...positive)) - 0.1);
  return [10 ** low, 10 ** Math.max(Math.ceil(Math.log10(Math.max(...positive)) + 0.1), low + 1)];
}

/** Powers of ten between two exponents, about so many at most. @param {number} low @param {number} high @param {number} most */
function decades(low, high, most) {
  const first = Math.ceil(low - 1e-9);
  const last = Math.floor(high + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first + 1) / most));
  const found = [];
  for (let exponent = last; exponent >= first; exponent -= stride) found.unshift(10 ** exponent);
  return found;
}
