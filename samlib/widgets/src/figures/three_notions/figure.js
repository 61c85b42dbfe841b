// The figure "ThreeNotions": the largest, the uphill and the average rise of L on a circle around a point.

import { scaleLinear } from "d3-scale";
import { choice, traitControls } from "../../shared/controls.js";
import { svg } from "../../shared/dom.js";
import { curvedValley, doubleWell, quadratic } from "../../dynamics/engine.js";
import { number } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createHandle } from "../../shared/handle.js";
import { createLegend, line } from "../../shared/legend.js";
import { AROUND, angleAt, notions } from "./notions.js";
import { linksOf } from "../../shared/permalink.js";
import { arrow, createLabels, createPlot, niceCeil } from "../../shared/plot.js";
import { createRelief } from "../../shared/relief.js";

/** @typedef {"bowl" | "ravine" | "curved valley" | "saddle"} Loss */

/**
 * @typedef {object} State the synchronized traits
 * @property {Loss} loss
 * @property {number[]} point
 * @property {number} rho
 */

/** @typedef {import("../../shared/frame.js").Frame<State> & {world: World}} View */

/** @typedef {{landscape: import("../../dynamics/engine.js").Landscape, at: import("./notions.js").Notions}} World */

/** @type {(keyof State)[]} */
const NAMES = ["loss", "point", "rho"];

const LOSSES = /** @type {const} */ ([
  ["bowl", "Bowl"],
  ["ravine", "Ravine"],
  ["curved valley", "Curved valley"],
  ["saddle", "Saddle"],
]);

/** The middle of what the plane shows, where it is not the origin. @type {Partial<Record<Loss, number[]>>} */
const CENTRES = { "curved valley": [0, 1] };

/** Half of what the plane shows, unless the circle needs more. */
const HALF = 2;

const KINDS = /** @type {const} */ (["worst", "ascent", "average"]);
const SHORT = { worst: "Rᴹᵃˣ", ascent: "Rᴬˢᶜ", average: "Rᴬᵛᵍ" };

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderThreeNotions(context) {
  const frame = createFrame(context, { names: NAMES, presetBy: "loss" });
  const { state } = /** @type {{state: State}} */ (frame);
  const landscapes = {
    bowl: quadratic(frame.config.spectra.bowl),
    ravine: quadratic(frame.config.spectra.ravine),
    "curved valley": curvedValley(),
    saddle: doubleWell(),
  };
  const compute = () => {
    world.landscape = landscapes[state.loss];
    world.at = notions(world.landscape, state.point, state.rho);
  };
  /** @type {World} */
  const world = { landscape: landscapes.bowl, at: notions(landscapes.bowl, state.point, state.rho) };
  const view = /** @type {View} */ (Object.assign(frame, { world }));

  const plane = createPlane(view);
  const profile = createProfile(view);
  const bars = createBars(view);
  const losses = choice({
    legend: "Loss",
    options: LOSSES,
    onInput: (name) => frame.restore(/** @type {State} */ (frame.preset(name))),
  });
  const controls = traitControls(
    frame,
    { rho: { label: "Radius ρ" } },
    { trait: "point", title: "Point x", labels: ["x₁", "x₂"] },
  );
  return frame.mount({
    className: "samlib-three-notions",
    choices: losses.el,
    hint: "Drag the point. What is the most that L can rise within its circle, and who finds it?",
    legend: legend(),
    stage: [plane.plot.el, profile.plot.el, bars.plot.el],
    controls: controls.el,
    handles: [plane.handle],
    compute,
    draw() {
      losses.show(state.loss);
      controls.show();
      plane.draw();
      profile.draw();
      bars.draw();
    },
    describe: () => describe(view),
    ...linksOf(/** @type {any} */ (frame), { labels: { rho: "ρ", point: "x" }, presetBy: "loss" }),
    dispose() {
      for (const { plot } of [plane, profile, bars]) plot.dispose();
    },
  });
}

/** The plane: contours of L, the circle, and the directions. @param {View} view */
function createPlane(view) {
  const { state, world } = view;
  const plot = createPlot({
    className: "samlib-plane",
    margin: { left: 38, right: 10, top: 8, bottom: 26 },
    square: true,
    onResize: view.redraw,
  });
  plot.name("L, and the circle of radius ρ around x", "x₁", "x₂");
  const labels = createLabels(plot, ["worst", "∇L", "Γ"]);
  const handle = createHandle(view, plot, () => [0, 1], { trait: "point", text: "x", label: "The point x" });
  const { context } = plot;
  const relief = createRelief(plot);
  let half = HALF;

  /** Filled contours of L. @param {number[]} centre of the window */
  function drawRelief([cx, cy]) {
    const { value } = world.landscape;
    const x = new Float64Array(2);
    const height = (/** @type {number} */ a, /** @type {number} */ b) => {
      x[0] = cx + a;
      x[1] = cy + b;
      return value(x);
    };
    // L = c; c doubles from one to the next, as for a quadratic where the distance grows by √2.
    const highest = Math.max(height(-half, -half), height(-half, half), height(half, -half), height(half, half));
    const levels = Array.from({ length: 14 }, (_, n) => highest * 2 ** (n - 14));
    relief.draw({
      name: state.loss, height, levels, low: -half, high: half, colour: view.colours.faint, opacity: 0.04,
    }); // prettier-ignore
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { at } = world;
    const [x1, x2] = state.point;
    const [cx, cy] = CENTRES[state.loss] ?? [0, 0];
    plot.clear();
    if (!view.dragging) {
      const reach = Math.max(Math.abs(x1 - cx), Math.abs(x2 - cy)) + Math.min(state.rho, 2 * HALF);
      half = reach <= HALF * 1.2 ? HALF : niceCeil(reach);
    }
    const x = scaleLinear([cx - half, cx + half], [box.left, box.right]);
    const y = scaleLinear([cy - half, cy + half], [box.bottom, box.top]);
    drawRelief([cx, cy]);
    drawMinimizers(x, y);

    const px = x(x1);
    const py = y(x2);
    const radius = x(x1 + state.rho) - px;
    context.strokeStyle = colours.average;
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(px, py, radius, 0, 7);
    context.stroke();

    const reach = (/** @type {number} */ angle) => [radius * Math.cos(angle), -radius * Math.sin(angle)];
    const [wx, wy] = reach(at.worst.angle);
    const [gx, gy] = reach(at.ascent.angle);
    if (at.tie) {
      context.setLineDash([3, 4]);
      arrow(context, px, py, -wx, -wy, colours.worst, 2);
      context.setLineDash([]);
    }
    arrow(context, px, py, wx, wy, colours.worst, 3.5);
    arrow(context, px, py, gx, gy, colours.ascent, 2);
    const turn = Math.sign(Math.sin(at.ascent.angle - at.worst.angle)) || 1;
    label("worst", at.worst.angle, -turn);
    label("∇L", at.ascent.angle, turn);
    /** @param {string} name @param {number} angle @param {number} side of the arrow */
    function label(name, angle, side) {
      const beyond = radius + 13;
      const lx = px + beyond * Math.cos(angle) - 13 * side * Math.sin(angle);
      const ly = py - beyond * Math.sin(angle) - 13 * side * Math.cos(angle);
      const inside = lx > box.left + 18 && lx < box.right - 18 && ly > box.top + 8 && ly < box.bottom - 4;
      const shown = inside && radius > 12;
      labels.hide(name, !shown);
      if (shown) labels.put(name, lx, ly + 4, name, "middle");
    }
    const ticks = [-1, -0.5, 0, 0.5, 1];
    plot.axes(x, y, {
      xTicks: ticks.map((part) => cx + part * half), yTicks: ticks.map((part) => cy + part * half),
      xFormat: number, yFormat: number,
    }); // prettier-ignore
    handle.show(x, y, { below: Math.sin(at.worst.angle) + Math.sin(at.ascent.angle) > 0 });
  }

  /** Where L is least: dots, or the line Γ. @param {(v: number) => number} x @param {(v: number) => number} y */
  function drawMinimizers(x, y) {
    const { colours } = view;
    const curve = state.loss === "curved valley";
    labels.hide("Γ", !curve);
    context.strokeStyle = context.fillStyle = colours.ink;
    if (!curve) {
      for (const x1 of state.loss === "saddle" ? [-1, 1] : [0]) {
        context.beginPath();
        context.arc(x(x1), y(0), 3, 0, 7);
        context.fill();
      }
      return;
    }
    context.lineWidth = 1.25;
    context.setLineDash([2, 3]);
    context.beginPath();
    for (let k = -50; k <= 50; k++) context.lineTo(x((half * k) / 50), y(((half * k) / 50) ** 2 / 2));
    context.stroke();
    context.setLineDash([]);
    labels.put("Γ", x(-0.66 * half), y((0.66 * half) ** 2 / 2) - 6, "Γ", "start");
  }

  return { plot, handle, draw };
}

/** L around the circle. @param {View} view */
function createProfile(view) {
  const { state, world } = view;
  const plot = createPlot({
    className: "samlib-panel",
    margin: { left: 50, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("Around the circle: L(x + ρu) − L(x)", "angle of u", "");
  const { context } = plot;
  let low = 0;
  let high = 1;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { at } = world;
    plot.clear();
    if (!view.dragging || Math.max(...at.profile) > high || Math.min(...at.profile) < low) {
      high = niceCeil(Math.max(...at.profile) || 1);
      const least = Math.min(...at.profile);
      low = least < 0 ? -niceCeil(-least) : 0;
    }
    const x = scaleLinear([0, 360], [box.left, box.right]);
    const y = scaleLinear([low, high], [box.bottom - 4, box.top + 6]);
    const line = (/** @type {(i: number) => number} */ f, /** @type {string} */ colour, /** @type {number} */ width, /** @type {number[]} */ dash) => {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.beginPath();
      for (let i = 0; i <= AROUND; i++) context.lineTo(x((360 * i) / AROUND), y(f(i % AROUND)));
      context.stroke();
      context.setLineDash([]);
    }; // prettier-ignore
    line(() => 0, colours.line, 1, []);
    line((i) => at.model[i], colours.soft, 1.5, [2, 3]);
    line((i) => at.profile[i], colours.ink, 2, []);
    line(() => at.average.sharpness, colours.average, 2, [7, 4]);
    for (const kind of /** @type {const} */ (["worst", "ascent"])) {
      const degrees = (((at[kind].angle * 180) / Math.PI) % 360 + 360) % 360; // prettier-ignore
      mark(context, kind, x(degrees), y(at[kind].sharpness), view);
    }
    // A label for the lowest value, unless it would touch that of 0.
    const yTicks = low < 0 && y(low) - y(0) > 14 ? [low, 0, high] : [0, high / 2, high];
    plot.axes(x, y, {
      xTicks: [0, 90, 180, 270, 360], yTicks, xFormat: (v) => `${v}°`, yFormat: number,
    }); // prettier-ignore
  }

  return { plot, draw };
}

/** The three sharpnesses as bars, and as diamonds what second order predicts. @param {View} view */
function createBars(view) {
  const { world } = view;
  const plot = createPlot({
    className: "samlib-panel",
    margin: { left: 50, right: 12, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("Three notions of sharpness", "R, the rise of L", "");
  const labels = createLabels(plot, [...KINDS]);
  const { context } = plot;
  let low = 0;
  let high = 1;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { at } = world;
    plot.clear();
    const all = KINDS.flatMap((kind) => [at[kind].sharpness, at[kind].predicted]);
    const most = Math.max(...all);
    const least = Math.min(...all);
    if (!view.dragging || most > high || least < low) {
      high = niceCeil(1.02 * most || 1);
      low = least < -1e-12 * high ? -niceCeil(-least) : 0;
    }
    // Room beside the longest bar for its number.
    const x = scaleLinear([low, high], [box.left, box.right - 52]);
    const y = scaleLinear([0, 3], [box.top, box.bottom]);
    const thickness = Math.min(18, (box.bottom - box.top) / 4.5);
    KINDS.forEach((kind, row) => {
      const middle = y(row + 0.5);
      const end = x(at[kind].sharpness);
      context.fillStyle = colours[kind];
      context.fillRect(Math.min(x(0), end), middle - thickness / 2, Math.max(Math.abs(end - x(0)), 1), thickness);
      const tick = x(at[kind].predicted);
      context.fillStyle = colours.ink;
      context.fillRect(tick - 1.25, middle - thickness / 2 - 4, 2.5, thickness + 8);
      labels.put(kind, Math.max(x(0), end, tick) + 6, middle + 4, number(at[kind].sharpness), "start");
    });
    context.strokeStyle = colours.faint;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x(0), box.top);
    context.lineTo(x(0), box.bottom);
    context.stroke();
    plot.axes(x, y, {
      xTicks: low < 0 && x(0) - x(low) > 40 ? [low, 0, high] : [0, high / 2, high], yTicks: [0.5, 1.5, 2.5], xFormat: number,
      yFormat: (row) => SHORT[KINDS[Math.floor(row)]],
    }); // prettier-ignore
  }

  return { plot, draw };
}

/**
 * The mark of a direction: a disc for the worst, a square for the gradient's.
 *
 * @param {CanvasRenderingContext2D} context @param {"worst" | "ascent"} kind
 * @param {number} x @param {number} y @param {View} view
 */
function mark(context, kind, x, y, { colours }) {
  context.fillStyle = colours[kind];
  context.strokeStyle = colours.plot;
  context.lineWidth = 1.5;
  context.beginPath();
  if (kind === "worst") context.arc(x, y, 6.5, 0, 7);
  else context.rect(x - 4.5, y - 4.5, 9, 9);
  context.fill();
  context.stroke();
}

/**
 * One sentence that says what is shown.
 *
 * @param {View} view
 * @returns {string}
 */
function describe({ state, world: { at } }) {
  const point = `At x = (${state.point.map((v) => number(v)).join(", ")})`;
  if (state.rho === 0) return `${point} with ρ = 0 there is no circle, and all three sharpnesses are 0.`;
  const { worst, ascent, average } = at;
  const apart = Math.abs(Math.atan2(Math.sin(worst.angle - ascent.angle), Math.cos(worst.angle - ascent.angle)));
  const degrees = number((apart * 180) / Math.PI, 2);
  const opposite = at.tie ? "; so does the opposite direction" : "";
  const uphill =
    at.slope === 0
      ? `∇L = 0, so there is no gradient direction (u = (1, 1)/√2 is taken, which raises it by ${number(ascent.sharpness)})`
      : `the gradient’s direction, ${apart < 1e-6 ? "the same" : `${degrees}° from it`}, raises it by ${number(ascent.sharpness)}`;
  const predicted = KINDS.map((kind) => number(at[kind].predicted));
  return (
    `${point} with ρ = ${number(state.rho)} the worst direction raises L by ${number(worst.sharpness)}${opposite}; ` +
    `${uphill}; the average over the circle is ${number(average.sharpness)}. ` +
    `To second order: ${predicted[0]}, ${predicted[1]} and ${predicted[2]}.`
  );
}

/** What the lines and marks are. */
function legend() {
  const dotted = svg("path", { d: "M1 7h30", class: "samlib-dotted" });
  return createLegend([
    ["worst-direction", [line(), svg("circle", { cx: 16, cy: 7, r: 5 })], "worst direction, Rᴹᵃˣ"],
    ["ascent-direction", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "gradient’s direction, Rᴬˢᶜ"],
    ["average-direction", [line()], "average over the circle, Rᴬᵛᵍ"],
    ["order", [dotted, svg("path", { d: "M16 0v14" })], "to second order"],
  ]);
}
