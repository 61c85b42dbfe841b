// The pictures of the figure "Explore": the loss along three directions, the sharpnesses over ρ with what the
// quadratic model says, the top eigenvalues, and how the gradient lies to their eigenvectors.

import { scaleLinear, scaleLog } from "d3-scale";
import { html } from "../../shared/dom.js";
import { decade, number, subscript } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels, createPlot, niceCeil, onDrag } from "../../shared/plot.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./figure.js").Radius} Radius */
/** @typedef {import("./figure.js").Notion} Notion */

/** @type {readonly Notion[]} */
export const NOTIONS = ["worst", "ascent", "average"];

/** @type {Record<Notion | "random", number[]>} */
const DASHES = { worst: [], ascent: [7, 4], average: [8, 3, 2, 3], random: [2, 3] };

/** The mark of each notion, about a point. @type {Record<Notion, string>} */
export const MARKS = {
  worst: "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z",
  ascent: "M-4.5-4.5h9v9h-9z",
  average: "M0-6.5L6 0L0 6.5L-6 0Z",
};

/** The least cosine that is shown. */
const LEAST_COSINE = 1e-4;

/** A number with its error, unless that is zero. @param {number | null} value @param {number | null} error */
export const withError = (value, error) =>
  value === null ? "unknown" : number(value) + (error ? ` ± ${number(error, 1)}` : "");

/** Eigenvalues have names of at least this width. */
const NAME_WIDTH = 26;

/** @param {View} view */
export function createExplorePlots(view) {
  const profile = createProfile(view);
  const radii = createRadii(view);
  const spectrum = createSpectrum(view);
  const cosines = createCosines(view);
  const all = [profile, radii, spectrum, cosines];
  return {
    plots: all.map(({ plot }) => plot),
    handle: radii.handle,
    draw: () => all.forEach((part) => part.draw()),
  };
}

/**
 * @param {CanvasRenderingContext2D} context @param {Notion} notion @param {number} x @param {number} y
 * @param {View["colours"]} colours
 */
function drawMark(context, notion, x, y, colours) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  const path = new Path2D();
  path.addPath(new Path2D(MARKS[notion]), new DOMMatrix([1, 0, 0, 1, x, y]));
  context.fillStyle = colours[notion];
  context.strokeStyle = colours.plot;
  context.lineWidth = 1.5;
  context.fill(path);
  context.stroke(path);
}

/**
 * A vertical bar with feet, for an error.
 *
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} low @param {number} high
 */
function drawWhisker(context, x, low, high) {
  if (!(Math.abs(high - low) > 1)) return;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, low);
  context.lineTo(x, high);
  for (const end of [low, high]) {
    context.moveTo(x - 4, end);
    context.lineTo(x + 4, end);
  }
  context.stroke();
}

/** Straight lines across. @param {import("../../shared/plot.js").Plot} plot @param {string} colour @param {number[]} heights */
function drawLevels({ context, box }, colour, heights) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (const height of heights) {
    context.moveTo(box.left, Math.round(height) + 0.5);
    context.lineTo(box.right, Math.round(height) + 0.5);
  }
  context.stroke();
}

/** Straight lines from top to bottom. @param {import("../../shared/plot.js").Plot} plot @param {string} colour @param {number[]} places */
function drawPlaces({ context, box }, colour, places) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (const place of places) {
    context.moveTo(Math.round(place) + 0.5, box.top);
    context.lineTo(Math.round(place) + 0.5, box.bottom);
  }
  context.stroke();
}

/** L along three directions. @param {View} view */
function createProfile(view) {
  const plot = createPlot({
    className: "samlib-plane",
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
    const x = scaleLinear([-2 * rho, 2 * rho], [box.left, box.right]);
    const y = scaleLinear([low, high], [box.bottom, box.top]);
    const ticks = y.ticks(5);
    drawLevels(plot, colours.line, ticks.map(y));
    drawPlaces(plot, colours.faint, [x(-rho), x(rho)]);
    context.globalAlpha = faint ? 0.35 : 1;
    for (const name of /** @type {const} */ (["random", "ascent", "worst"])) {
      const rises = shown.profiles[name];
      if (!rises) continue;
      context.strokeStyle = name === "random" ? colours.soft : colours[name];
      context.lineWidth = name === "random" ? 2 : 2.5;
      context.setLineDash(DASHES[name]);
      const place = (/** @type {number} */ i) => x(rho * ((4 * i) / (rises.length - 1) - 2));
      drawLine(context, rises, place, (rise) => y(rise));
    }
    context.setLineDash([]);
    const { average, ascent, worst } = shown;
    if (average?.value != null) {
      context.strokeStyle = colours.average;
      for (const side of [-rho, rho]) {
        const error = average.error ?? 0;
        drawWhisker(context, x(side), y(average.value - error), y(average.value + error));
        drawMark(context, "average", x(side), y(average.value), colours);
      }
    }
    if (ascent?.value != null) drawMark(context, "ascent", x(rho), y(ascent.value), colours);
    if (worst?.value != null) drawMark(context, "worst", x(rho * (shown.length ?? 1)), y(worst.value), colours);
    context.globalAlpha = 1;
    plot.axes(x, y, { xTicks: [-2 * rho, 0, 2 * rho], yTicks: ticks, xFormat: number, yFormat: number });
    labels.put("left", x(-rho), box.bottom + 18, "−ρ", "middle");
    labels.put("right", x(rho), box.bottom + 18, "ρ", "middle");
  }

  return { plot, draw };
}

/** Of the rises within ±ρ, with some room; beyond ±ρ curves may leave the picture. @param {Radius} shown */
function bounds(shown) {
  const inside = Object.values(shown.profiles).flatMap((rises) =>
    rises.filter((rise, i) => rise !== null && Math.abs((4 * i) / (rises.length - 1) - 2) <= 1.05),
  );
  const values = NOTIONS.map((notion) => shown[notion]?.value ?? 0);
  const high = Math.max(...values, ...inside.map(Number));
  const low = Math.min(...values, ...inside.map(Number));
  const room = 0.25 * (high - low || 1);
  return [low - room, high + room];
}

/**
 * @param {CanvasRenderingContext2D} context @param {(number | null)[]} values null interrupts the line
 * @param {(i: number) => number} x @param {(value: number) => number} y
 */
function drawLine(context, values, x, y) {
  context.beginPath();
  let down = false;
  values.forEach((value, i) => {
    const height = value === null ? NaN : y(value);
    if (!Number.isFinite(height)) down = false;
    else {
      const clamped = Math.min(Math.max(height, -1e4), 1e4);
      if (down) context.lineTo(x(i), clamped);
      else context.moveTo(x(i), clamped);
      down = true;
    }
  });
  context.stroke();
}

/** The sharpnesses over ρ. @param {View} view */
function createRadii(view) {
  const plot = createPlot({
    className: "samlib-plane samlib-radii",
    margin: { left: 52, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.svg.classList.add("samlib-scrubbed");
  plot.name("Sharpness over ρ", "ρ (log scale)", "");
  const { context } = plot;
  const limits = view.config.limits.rho.map(Math.log10);
  const handle = createHandle(
    {
      get state() {
        return { rho: [Math.log10(view.state.rho), 0] };
      },
      config: { limits: { rho: limits } },
      get dragging() {
        return view.dragging;
      },
      set dragging(value) {
        view.dragging = value;
      },
      redraw: view.redraw,
      pause: view.pause,
      update: ({ rho: [exponent] }) => view.pick(10 ** exponent),
    },
    plot,
    () => [0, 0],
    { trait: "rho", text: "ρ", label: "Radius ρ", along: "ρ" },
  );
  handle.group.dataset.control = "radius";
  let [left, right] = [-3, 0];

  onDrag(plot, (event) => {
    const { box, svg } = plot;
    const at = event.clientX - svg.getBoundingClientRect().left;
    const part = Math.min(Math.max((at - box.left) / (box.right - box.left), 0), 1);
    view.pick(10 ** (left + part * (right - left)));
  });

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
    for (const notion of NOTIONS) {
      context.strokeStyle = colours[notion];
      if (point) {
        context.lineWidth = 1.25;
        context.setLineDash(DASHES[notion]);
        drawLine(context, point[notion], (i) => x(Math.log10(point.radii[i])), place);
        context.setLineDash([]);
      }
    }
    for (const radius of known()) {
      const px = x(Math.log10(radius.rho));
      for (const notion of NOTIONS) {
        const { value, error } = radius[notion] ?? {};
        if (value == null) continue;
        context.strokeStyle = colours[notion];
        // The worst direction is at least this bad; what is left of the slope could make it worse.
        const down = notion === "worst" ? value : Math.max(value - (error ?? 0), low);
        if (value > 0 && notion !== "ascent") drawWhisker(context, px, place(down), place(value + (error ?? 0)));
        if (value > 0) drawMark(context, notion, px, place(value), colours);
        else drawBelow(px, colours[notion]);
      }
    }
    const xTicks = decades(left, right, 7).map(Math.log10);
    plot.axes(x, y, { xTicks, yTicks, xFormat: (v) => decade(10 ** v), yFormat: decade });
    handle.show(x, scaleLinear([0, 1], [box.bottom, box.top]), { level: 12 / (box.bottom - box.top) });
    handle.group.setAttribute("aria-valuenow", String(state.rho));
    handle.group.setAttribute("aria-valuetext", number(state.rho));
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
 * The range of what is positive, in whole decades.
 *
 * @param {Radius[]} known @param {View["point"]} point @param {number} left @param {number} right
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

/**
 * A panel with a place for each eigenvalue.
 *
 * @param {View} view @param {string} title
 */
function createPanel(view, title) {
  const plot = createPlot({
    className: "samlib-panel samlib-still",
    margin: { left: 52, right: 12, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  plot.name(title, "", "");
  const aside = html("span", { class: "samlib-aside" });
  plot.heading.append(aside);
  return {
    plot,
    /** Beside the title. @param {string} text */
    say(text) {
      if (aside.textContent !== text) aside.textContent = text;
    },
    /** @param {number} many @param {string} letter */
    places(many, letter) {
      const { box } = plot;
      const x = scaleLinear([0.5, many + 0.5], [box.left, box.right]);
      const stride = Math.ceil(NAME_WIDTH / (x(2) - x(1)));
      const xTicks = Array.from({ length: many }, (_, i) => i + 1).filter((n) => (n - 1) % stride === 0);
      return { x, xTicks, xFormat: (/** @type {number} */ n) => letter + subscript(n) };
    },
  };
}

/** The top eigenvalues as stems. @param {View} view */
function createSpectrum(view) {
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
      drawDisc(context, px, y(value), i === 0 ? colours.eigenvector : colours.plot, colours.ink);
    });
    plot.axes(x, y, { xTicks, yTicks, xFormat, yFormat: number });
  }

  return { plot, draw };
}

/** |cos| of the angle between the gradient and each eigenvector. @param {View} view */
function createCosines(view) {
  const { plot, places, say } = createPanel(view, "Alignment |cos∠(∇L, v)|");
  const labels = createLabels(plot, ["random"]);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, point, network } = view;
    plot.clear();
    labels.hide("random", !point);
    if (!point) return;
    say(point.cosines[0] === null ? "∇L = 0" : withError(point.cosines[0], point.cosine_error));
    const { x, xTicks, xFormat } = places(point.cosines.length, "v");
    const y = scaleLog([LEAST_COSINE, 1], [box.bottom - 6, box.top + 8]);
    const yTicks = [1e-4, 1e-2, 1];
    drawLevels(plot, colours.line, yTicks.map(y));
    const usual = 1 / Math.sqrt(network.parameters);
    context.strokeStyle = colours.soft;
    context.lineWidth = 1.5;
    context.setLineDash(DASHES.random);
    context.beginPath();
    context.moveTo(box.left, y(usual));
    context.lineTo(box.right, y(usual));
    context.stroke();
    context.setLineDash([]);
    point.cosines.forEach((cosine, i) => {
      if (cosine === null) return;
      const fill = i === 0 ? colours.eigenvector : colours.plot;
      drawDisc(context, x(i + 1), y(Math.max(cosine, LEAST_COSINE)), fill, colours.ink);
    });
    plot.axes(x, y, { xTicks, yTicks, xFormat, yFormat: decade });
    labels.put("random", box.right - 4, y(usual) + (usual > 0.1 ? 16 : -6), "a random direction, 1/√D", "end");
  }

  return { plot, draw };
}

/**
 * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y
 * @param {string} fill @param {string} edge
 */
function drawDisc(context, x, y, fill, edge) {
  context.beginPath();
  context.arc(x, y, 5, 0, 7);
  context.fillStyle = fill;
  context.strokeStyle = edge;
  context.lineWidth = 2;
  context.fill();
  context.stroke();
}
