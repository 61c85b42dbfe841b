// The figure "ExplicitBias": which minimizers each notion of sharpness prefers.
//
// Three pictures of one point x of Γ: where it is on the map of Γ, what the three limiting regularizers
// are there, and the bowl across Γ, where the gradient at a nearby x′ picks one number of S^Asc's band.

import { scaleLinear } from "d3-scale";
import { choice, traitControls } from "../../shared/controls.js";
import { html, svg } from "../../shared/dom.js";
import { approachFrom, factor1, factor2, limitingRegularizers, PREFERRED } from "../../dynamics/engine.js";
import { number } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createHandle } from "../../shared/handle.js";
import { createLegend } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { arrow, createLabels, createPlot, niceCeil } from "../../shared/plot.js";
import { createRelief } from "../../shared/relief.js";

/** @typedef {import("../../dynamics/engine.js").Notion} Notion */
/** @typedef {"top_eigenvalue" | "smallest_nonzero_eigenvalue" | "trace"} Quantity */

/**
 * @typedef {object} State the synchronized traits
 * @property {Quantity} quantity
 * @property {number[]} point (x₁, x₂)
 * @property {number} approach in degrees
 */

/** @typedef {ReturnType<typeof createView>} View */

/** @type {(keyof State)[]} */
const NAMES = ["quantity", "point", "approach"];

/** @type {readonly Notion[]} */
const NOTIONS = ["worst", "ascent", "average"];

/**
 * What the map can be coloured by: `times` the notion's limiting regularizer. Labels of contours go along
 * a ray from the notion's preferred point to `towards`.
 *
 * @type {Record<Quantity, {notion: Notion, times: number, symbol: string, title: string,
 *   levels: number[], labelled: number[], towards: [number, number]}>}
 */
const QUANTITIES = {
  top_eigenvalue: {
    notion: "worst",
    times: 2,
    symbol: "λ₁",
    title: "Γ, coloured by λ₁",
    levels: [16.5, 17, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36],
    labelled: [18, 20, 24, 28, 32],
    towards: [-0.15, 1.25],
  },
  smallest_nonzero_eigenvalue: {
    notion: "ascent",
    times: 2,
    symbol: "λ_M",
    title: "Γ, coloured by λ_M",
    levels: [2.25, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20],
    labelled: [4, 8, 14],
    towards: [-0.5, 0.85],
  },
  trace: {
    notion: "average",
    times: 8,
    symbol: "Tr",
    title: "Γ, coloured by the trace of ∇²L",
    levels: [21.5, 22, 23, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42],
    labelled: [22, 24, 28, 32, 36],
    towards: [0.4, 1.25],
  },
};

/** The mark of each notion, about a point. @type {Record<Notion, string>} */
const MARKS = {
  worst: "M0-7L7 0L0 7L-7 0Z",
  ascent: "M0-7L7 6H-7Z",
  average: "M-2.5-7h5v4.5h4.5v5h-4.5v4.5h-5v-4.5h-4.5v-5h4.5z",
};

/** The bowl shows (x₃, x₄) from −REACH to REACH, in units of the distance ε of x′ from Γ. */
const REACH = 1.6;

/** Sides from which S^Asc gets a tick, in degrees. */
const SIDES = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90];

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderExplicitBias(context) {
  const view = createView(context);
  const map = createMap(view);
  const bars = createBars(view);
  const bowl = createBowl(view);
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
    choices: colouring.el,
    hint: "Drag x along the valley Γ, or x′ around it; choose what colours the map.",
    legend: legend(),
    stage: [map.plot.el, bars.plot.el, bowl.plot.el],
    controls: controls.el,
    handles: [map.handle, bowl.handle],
    compute: view.compute,
    draw() {
      colouring.show(view.state.quantity);
      controls.show();
      map.draw();
      bars.draw();
      bowl.draw();
    },
    describe: () => describe(view),
    ...linksOf(view, { labels: { approach: "angle" } }),
    dispose() {
      for (const { plot } of [map, bars, bowl]) plot.dispose();
    },
  });
}

/**
 * The frame with what follows from its state.
 *
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string}} context
 */
function createView(context) {
  /** @type {import("../../shared/frame.js").Options<State>} */
  const options = { names: NAMES, redrawOnly: ["quantity"] };
  const least = /** @type {Record<Notion, number>} */ (
    Object.fromEntries(NOTIONS.map((n) => [n, limitingRegularizers(...PREFERRED[n])[n]]))
  );
  const view = Object.assign(createFrame(context, options), {
    /** Of each limiting regularizer, on Γ. */
    least,
    /** The limiting regularizers at x. */
    here: { ...least },
    /** The gradient's direction at x′, and the number of the band that it picks. */
    from: approachFrom(0, 0, 0),
    compute() {
      const [x1, x2] = view.state.point;
      view.here = limitingRegularizers(x1, x2);
      view.from = approachFrom(x1, x2, view.state.approach);
    },
  });
  return view;
}

/**
 * @param {CanvasRenderingContext2D} context @param {Notion} notion @param {number} x @param {number} y
 * @param {View["colours"]} colours @param {boolean} [chosen] filled, and larger?
 */
function drawMark(context, notion, x, y, colours, chosen = false) {
  const shape = new Path2D(MARKS[notion]);
  const size = chosen ? 1.3 : 0.9;
  context.save();
  context.translate(x, y);
  context.scale(size, size);
  context.lineJoin = "round";
  context.strokeStyle = colours.plot;
  context.lineWidth = 5 / size;
  context.stroke(shape);
  context.fillStyle = chosen ? colours[notion] : colours.plot;
  context.strokeStyle = colours[notion];
  context.lineWidth = 2 / size;
  context.fill(shape);
  context.stroke(shape);
  context.restore();
}

// ── The map of Γ ───────────────────────────────────────────────────────────────────────────────────

/** @param {View} view */
function createMap(view) {
  const [low, high] = view.config.limits.point;
  const plot = createPlot({
    className: "samlib-plane",
    margin: { left: 44, right: 10, top: 8, bottom: 26 },
    square: true,
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
      /** @param {number} s */
      const along = (s) => [a + s * (towards[0] - a), b + s * (towards[1] - b)];
      const s = bisect(0, 1, (t) => labelled[k] - times * limitingRegularizers(...pair(along(t)))[notion]);
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
    const x = scaleLinear([low, high], [box.left, box.right]);
    const y = scaleLinear([low, high], [box.bottom, box.top]);
    relief.draw({
      name: state.quantity,
      height: (a, b) => chosen.times * limitingRegularizers(a, b)[chosen.notion],
      levels: chosen.levels, low, high, colour: colours[chosen.notion],
    }); // prettier-ignore
    drawCrossing(x, y);
    labelContours(x, y);
    for (const { notion, symbol, times } of Object.values(QUANTITIES)) {
      const [a, b] = PREFERRED[notion];
      const isChosen = notion === chosen.notion;
      drawMark(plot.context, notion, x(a), y(b), colours, isChosen);
      const value = isChosen ? `: ${number(times * view.least[notion])}` : "";
      labels.put(notion, x(a), y(b) + 23, `least ${symbol}${value}`, "middle");
    }
    const ticks = [-0.5, 0, 0.5, 1];
    plot.axes(x, y, { xTicks: ticks, yTicks: ticks, xFormat: number, yFormat: number });
    handle.show(x, y);
  }

  return { plot, handle, draw };
}

/** @param {number[]} values @returns {[number, number]} */
const pair = ([a, b]) => [a, b];

/** Where a function that falls from positive to negative is zero. @param {number} a @param {number} b @param {(t: number) => number} f */
function bisect(a, b, f) {
  for (let k = 0; k < 40; k++) {
    const middle = (a + b) / 2;
    if (f(middle) > 0) a = middle;
    else b = middle;
  }
  return (a + b) / 2;
}

// ── The three regularizers at x ────────────────────────────────────────────────────────────────────

/** Tops of the bars and their height; below the band there is room for the names of its marks. */
const TOPS = { worst: 22, ascent: 72, average: 142 };
const BAR = 16;

/** @param {View} view */
function createBars(view) {
  const [low, high] = view.config.limits.point;
  const corners = [[low, low], [low, high], [high, low], [high, high]]; // prettier-ignore
  // Convex, so that it is largest at a corner: the axis stands still while x moves.
  const most = niceCeil(Math.max(...corners.map((c) => limitingRegularizers(...pair(c)).worst)));
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

  /** @param {number} y @param {number} from @param {number} to @param {string} colour @param {number} alpha */
  function bar(y, from, to, colour, alpha) {
    context.globalAlpha = alpha;
    context.fillStyle = colour;
    context.fillRect(from, y, to - from, BAR);
    context.globalAlpha = 1;
  }

  /** The band of S^Asc: hatched, with the sides from which it is reached. @param {any} x @param {number} y */
  function drawBand(x, y) {
    const { colours, here, from, state } = view;
    const [a, b] = [x(here.ascent), x(here.worst)];
    context.save();
    context.beginPath();
    context.rect(a, y, b - a, BAR);
    context.clip();
    bar(y, a, b, colours.ascent, 0.15);
    context.strokeStyle = colours.ascent;
    context.lineWidth = 1.25;
    context.beginPath();
    for (let h = a - BAR; h < b; h += 7) {
      context.moveTo(h, y + BAR);
      context.lineTo(h + BAR, y);
    }
    context.stroke();
    context.restore();
    context.strokeStyle = colours.ascent;
    context.lineWidth = 1.5;
    context.strokeRect(a, y, b - a, BAR);
    context.beginPath();
    for (const side of SIDES) {
      const at = x(approachFrom(state.point[0], state.point[1], side).value);
      context.moveTo(at, y + BAR);
      context.lineTo(at, y + BAR + 6);
    }
    context.stroke();
    context.fillStyle = colours.ascent;
    context.fillRect(a - 2, y - 3, 4, BAR + 6); // the liminf
    const at = x(from.value);
    for (const [colour, width] of /** @type {const} */ ([[colours.plot, 6], [colours.ink, 2.5]])) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(at, y - 4);
      context.lineTo(at, y + BAR + 4);
      context.stroke();
    } // prettier-ignore
    // Their names below, side by side where the marks are close.
    const name = Math.max(a - 8, plot.box.left + 36);
    labels.put("liminf", name, y + BAR + 19, "liminf", "end");
    const text = `from x′: ${number(from.value)}`;
    const half = 3.4 * text.length;
    labels.put("side", Math.min(Math.max(at, name + 8 + half), plot.box.right - half), y + BAR + 19, text, "middle");
  }

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
      bar(y, x(0), x(least[notion]), colours[notion], 0.3);
      bar(y, x(least[notion]), x(here[notion]), colours[notion], 0.85);
      if (notion === "ascent") drawBand(x, y);
      drawMark(context, notion, x(least[notion]), y + BAR / 2, colours);
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

// ── The bowl across Γ ──────────────────────────────────────────────────────────────────────────────

/** @param {View} view */
function createBowl(view) {
  const plot = createPlot({
    className: "samlib-plane",
    margin: { left: 44, right: 10, top: 8, bottom: 26 },
    square: true,
    onResize: view.redraw,
  });
  plot.name("The bowl across Γ at x", "x₃/ε", "x₄/ε");
  const picked = html("span", { class: "samlib-aside" });
  plot.heading.append(picked);
  const labels = createLabels(plot, ["u", "x′", "across", "up"]);
  const { context } = plot;

  // x′ is moved like any point, and keeps to the quarter of the circle.
  const handle = createHandle(
    {
      get state() {
        const turn = (view.state.approach * Math.PI) / 180;
        return { nearby: [0, 0, Math.cos(turn), Math.sin(turn)] };
      },
      config: { limits: { nearby: [0, REACH] } },
      get dragging() {
        return view.dragging;
      },
      set dragging(value) {
        view.dragging = value;
      },
      redraw: view.redraw,
      pause: view.pause,
      update({ nearby: [, , c, s] }) {
        if (c || s) view.update({ approach: Number(((Math.atan2(s, c) * 180) / Math.PI).toFixed(1)) });
      },
    },
    plot,
    () => [2, 3],
    { trait: "nearby", text: "", label: "Point x′ near x, across Γ" },
  );

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours, state, from } = view;
    const f1 = factor1(state.point[0], state.point[1]);
    const f2 = factor2(state.point[0], state.point[1]);
    plot.clear();
    const x = scaleLinear([-REACH, REACH], [box.left, box.right]);
    const y = scaleLinear([-REACH, REACH], [box.bottom, box.top]);
    const unit = x(1) - x(0);

    // Where F₁x₃² + F₂x₄² = c there is an ellipse.
    context.lineWidth = 1;
    context.strokeStyle = context.fillStyle = colours.faint;
    for (let c = 32; c > 0.2; c /= 2) {
      context.beginPath();
      context.ellipse(x(0), y(0), unit * Math.sqrt(c / f1), unit * Math.sqrt(c / f2), 0, 0, 7);
      context.globalAlpha = 0.06;
      context.fill();
      context.globalAlpha = 0.5;
      context.stroke();
    }
    context.globalAlpha = 1;

    // The eigenvectors lie along the axes; which of them is v₁ depends on x.
    const steep = f1 >= f2;
    line(x(-REACH), y(0), x(REACH), y(0), steep ? "worst" : "ascent");
    line(x(0), y(-REACH), x(0), y(REACH), steep ? "ascent" : "worst");
    context.strokeStyle = colours.soft;
    context.lineWidth = 1.25;
    context.setLineDash([2, 4]);
    context.beginPath();
    context.arc(x(0), y(0), unit, 0, 7);
    context.stroke();
    context.setLineDash([]);

    const turn = (state.approach * Math.PI) / 180;
    const [px, py] = [x(Math.cos(turn)), y(Math.sin(turn))];
    const length = 0.5 * unit;
    const [u3, u4] = from.u;
    arrow(context, px, py, length * u3, -length * u4, colours.ascent, 3);
    const ticks = [-1, 0, 1];
    plot.axes(x, y, { xTicks: ticks, yTicks: ticks, xFormat: number, yFormat: number });
    labels.put("u", px + length * u3 + 13 * u4, py - length * u4 + 13 * u3 + 4, "u", "middle");
    labels.put("x′", px - 25 * u3, py + 25 * u4 + 4, "x′", "middle");
    picked.textContent = `½uᵀ∇²L u = ${number(from.value)}`;
    const [across, up] = steep ? ["λ₁", "λ_M"] : ["λ_M", "λ₁"];
    labels.put("across", x(-REACH) + 6, y(0) - 8, `${across} = ${number(2 * f1)}`, "start");
    labels.put("up", x(0) + 8, y(-REACH) - 8, `${up} = ${number(2 * f2)}`, "start");
    handle.show(x, y);
  }

  /** @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {"worst" | "ascent"} notion */
  function line(ax, ay, bx, by, notion) {
    context.strokeStyle = view.colours[notion];
    context.lineWidth = 1.5;
    context.setLineDash(notion === "worst" ? [] : [7, 4]);
    context.beginPath();
    context.moveTo(ax, ay);
    context.lineTo(bx, by);
    context.stroke();
    context.setLineDash([]);
  }

  return { plot, handle, draw };
}

// ── In words ───────────────────────────────────────────────────────────────────────────────────────

/**
 * One sentence that says what is shown; Python's `sentence` says the same.
 *
 * @param {View} view
 */
function describe({ state, here, least, from }) {
  const { notion, times, symbol } = QUANTITIES[state.quantity];
  const excess = times * (here[notion] - least[notion]);
  const value = number(times * here[notion], 4);
  const bottom = number(times * least[notion], 4);
  const [a, b] = PREFERRED[notion].map((v) => number(v));
  const verdict =
    excess < 1e-3
      ? `${symbol} is within 0.001 of ${bottom}, its least value on Γ`
      : `${symbol} = ${value} could still fall by ${number(excess)}, to ${bottom} at (${a}, ${b})`;
  const [low, high] = [number(here.ascent), number(here.worst)];
  const band =
    low === high
      ? `Sᴬˢᶜ = ${low} from every side`
      : `Sᴬˢᶜ between ${low} and ${high} (${number(from.value)} with x′ at ${number(state.approach)}°)`;
  return (
    `At x₁ = ${number(state.point[0])}, x₂ = ${number(state.point[1])}: Sᴹᵃˣ = λ₁/2 = ${high}, ` +
    `${band}, Sᴬᵛᵍ = Tr/8 = ${number(here.average)}; ${verdict}.`
  );
}

/** What the lines and marks are. */
function legend() {
  const names = { worst: "worst direction: λ₁", ascent: "ascent direction: λ_M", average: "average direction: trace" };
  return createLegend([
    ...NOTIONS.map((notion) => /** @type {import("../../shared/legend.js").Entry} */ ([
      `notion-${notion}`,
      [svg("path", { d: MARKS[notion], transform: "translate(16 7) scale(0.9)" })],
      names[notion],
    ])),
    ["ascent", [svg("path", { d: "M1 7h22m0-4l8 4l-8 4z" })], "u, direction of ∇L at x′"],
    ["sides", [svg("path", { d: "M4 3v8M12 3v8M20 3v8M28 3v8" })], "Sᴬˢᶜ from 0°, 10°, …, 90°"],
  ]); // prettier-ignore
}
