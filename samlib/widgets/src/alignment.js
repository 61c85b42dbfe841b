// The figure "Alignment": under SAM the gradient turns towards the top eigenvector of the Hessian.
//
// Left to right, the data flows one way: state → runs → samples → pictures. A change of ρ, η, the
// spectrum or the start recomputes all of it; a change of the frame only redraws.

import { contours } from "d3-contour";
import { scaleLinear, scaleLog, scaleSymlog } from "d3-scale";
import { button, choice, numberField, player, slider } from "./controls.js";
import { html, svg } from "./dom.js";
import {
  cycleRadius, factor1, factor2, fourDimensional, probe, quadratic, simulate,
} from "./engine.js"; // prettier-ignore
import { count, decade, number, subscript } from "./format.js";
import { captureKeys } from "./keyboard.js";
import { decode, encode, readNumber, readNumbers } from "./permalink.js";
import { arrow, createPlot, diamond, niceCeil, traceBranches } from "./plot.js";
import { HEAD, keySteps, sampleSteps } from "./samples.js";
import { onThemeChange, palette } from "./theme.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./plot.js").Plot} Plot */
/** @typedef {import("./theme.js").Palette} Palette */

/**
 * @typedef {object} State the synchronized traits
 * @property {"quadratic" | "four-dimensional"} landscape
 * @property {number[]} eigenvalues
 * @property {number[]} start
 * @property {number} rho
 * @property {number} lr
 * @property {number} steps
 * @property {number} frame
 * @property {boolean} zoom
 */

/**
 * @typedef {object} Config what Python says once: defaults and ranges, so that they are written once
 * @property {Record<string, Partial<State>>} presets
 * @property {Record<string, Record<string, [number, number]>>} sliders
 * @property {Record<string, [number, number]>} limits
 */

/** @type {(keyof State)[]} */
const NAMES = ["landscape", "eigenvalues", "start", "rho", "lr", "steps", "frame", "zoom"];

const LANDSCAPES = /** @type {const} */ ([
  ["quadratic", "Quadratic"],
  ["four-dimensional", "Four-dimensional loss"],
]);

/** Angles below this many degrees are not drawn. */
const LEAST_ANGLE = 1e-3;

/** λ₁ on Γ whose contours the map shows. */
const LEVELS = [16.5, 17, 18, 20, 22, 24, 26, 28, 30, 32, 34];
const LABELLED_LEVELS = [18, 20, 24, 28];

/** λ₁ of the four-dimensional loss at the point of Γ nearest to x. @param {number} x1 @param {number} x2 */
const sharpnessOnManifold = (x1, x2) => 2 * Math.max(factor1(x1, x2), factor2(x1, x2));

/**
 * One rule's run and what is measured along it, at the sampled steps.
 *
 * @typedef {object} Series
 * @property {Float64Array} x every iterate, one after the other
 * @property {Float64Array} buffer
 * @property {Float64Array} angle
 * @property {Float64Array} distance
 * @property {Float64Array} sharpness
 */

/** @returns {Series} */
const emptySeries = () => ({
  x: new Float64Array(0),
  buffer: new Float64Array(0),
  angle: new Float64Array(0),
  distance: new Float64Array(0),
  sharpness: new Float64Array(0),
});

/**
 * Everything computed from the state, without drawing anything.
 *
 * @param {State} initial
 */
export function createWorld(initial) {
  const sam = emptySeries();
  const descent = emptySeries();
  const world = {
    state: initial,
    landscape: quadratic([1, 1]),
    at: probe(quadratic([1, 1])),
    descentAt: probe(quadratic([1, 1])),
    flat: true,
    dim: 2,
    /** The two coordinates of the plane. */
    plane: /** @type {[number, number]} */ ([0, 1]),
    keys: [0],
    /** @type {Int32Array} */
    samples: new Int32Array(1),
    sam,
    descent,
    /** @type {Float64Array} the predicted ‖x‖ at the samples */
    limit: new Float64Array(1),
    compute,
    /** How far a point is from the minimizers. @param {ArrayLike<number>} x @param {number} [at] */
    distance(x, at = 0) {
      let sum = 0;
      for (let i = world.flat ? 0 : 2; i < world.dim; i++) sum += x[at + i] * x[at + i];
      return Math.sqrt(sum);
    },
    /** λ₁ at the nearest minimizer. @param {ArrayLike<number>} x @param {number} [at] */
    sharpness(x, at = 0) {
      return world.flat ? Math.max(...world.state.eigenvalues) : sharpnessOnManifold(x[at], x[at + 1]);
    },
    /** ηρλ₁/(2 − ηλ₁). @param {number} lambda1 */
    radius: (lambda1) => cycleRadius(world.state.lr, world.state.rho, lambda1),
  };
  let shape = "";

  function compute() {
    const { state } = world;
    const newShape = JSON.stringify([state.landscape, state.eigenvalues]);
    if (newShape !== shape) {
      shape = newShape;
      world.flat = state.landscape === "quadratic";
      world.landscape = world.flat ? quadratic(state.eigenvalues) : fourDimensional();
      world.dim = world.landscape.dim;
      world.at = probe(world.landscape);
      world.descentAt = probe(world.landscape);
      world.plane = world.flat ? twoLargest(state.eigenvalues) : [2, 3];
    }
    if (world.keys[world.keys.length - 1] !== state.steps) {
      world.keys = keySteps(state.steps);
      world.samples = sampleSteps(world.keys);
    }
    run(sam, "sam");
    run(descent, "gradient-descent");
    const { limit } = (world.limit.length === world.samples.length)
      ? world
      : Object.assign(world, { limit: new Float64Array(world.samples.length) }); // prettier-ignore
    for (let i = 0; i < limit.length; i++) limit[i] = world.radius(sam.sharpness[i]);
  }

  /** @param {Series} series @param {"sam" | "gradient-descent"} rule */
  function run(series, rule) {
    const { state, samples, dim, at } = world;
    const { start, steps, lr, rho } = state;
    series.x = simulate(world.landscape, rule, { start, steps, lr, rho, into: series.buffer }).x;
    series.buffer = series.x;
    if (series.angle.length !== samples.length) {
      for (const name of /** @type {const} */ (["angle", "distance", "sharpness"])) {
        series[name] = new Float64Array(samples.length);
      }
    }
    const lambda1 = world.sharpness(start);
    for (let i = 0; i < samples.length; i++) {
      const offset = samples[i] * dim;
      series.angle[i] = at.look(series.x, offset).angle;
      series.distance[i] = world.distance(series.x, offset);
      series.sharpness[i] = world.flat ? lambda1 : world.sharpness(series.x, offset);
    }
  }
  return world;
}

/** The indices of the two largest numbers, in the order of the index. @param {number[]} values */
function twoLargest(values) {
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
  return /** @type {[number, number]} */ (order.slice(0, 2).sort((a, b) => a - b));
}

/**
 * @param {{model: Model, el: HTMLElement, linkId?: string}} context
 *   `linkId` is the figure's name in permalinks; without it (in a notebook) there are none
 * @returns {() => void} takes the figure down
 */
export function renderAlignment({ model, el, linkId }) {
  const config = /** @type {Config} */ (model.get("_config"));
  const read = () => /** @type {State} */ (Object.fromEntries(NAMES.map((n) => [n, model.get(n)])));
  const initial = read();
  const world = createWorld({ ...initial });

  let colours = palette(el);
  let stale = { runs: true, controls: true };
  let pending = 0;
  let dragging = false;
  let half = 1;
  let saved = 0;

  // ── The parts ────────────────────────────────────────────────────────────────────────────────────
  const redraw = () => schedule(false);
  const margin = { left: 44, right: 10, top: 8, bottom: 26 };
  const plane = createPlot({
    className: "samlib-plane", title: "", xLabel: "", margin: { ...margin, left: 42 }, onResize: redraw,
  }); // prettier-ignore
  const map = createPlot({
    className: "samlib-plane samlib-map", title: "Along Γ: contours of λ₁", xLabel: "x₁",
    yLabel: "x₂", margin: { ...margin, left: 36 }, onResize: redraw,
  }); // prettier-ignore
  const panelOptions = { xLabel: "step (log scale)", margin: { ...margin, bottom: 40 }, onResize: redraw };
  const anglePanel = createPlot({
    className: "samlib-panel", title: "Angle between ∇L and v₁", ...panelOptions,
  }); // prettier-ignore
  const normPanel = createPlot({ className: "samlib-panel", title: "‖x‖", ...panelOptions });
  const sharpPanel = createPlot({
    className: "samlib-panel samlib-sharpness", title: "λ₁ at the nearest minimizer", ...panelOptions,
  }); // prettier-ignore
  const panels = [anglePanel, normPanel, sharpPanel];

  const zoom = button({
    label: "Magnify the two-cycle", text: "Zoom in", className: "samlib-small",
    onPress: () => update({ zoom: !world.state.zoom }),
  }); // prettier-ignore
  zoom.dataset.control = "zoom";
  plane.heading.append(zoom);

  const planeLabels = createLabels(plane, ["∇L", "v₁", "lens"]);
  const normLabel = createLabels(normPanel, ["predicted limit"]);
  const mapLabels = createLabels(map, [...LABELLED_LEVELS.map(String), "least λ₁"]);
  const lensFrame = svg("path", { class: "samlib-lens" });
  plane.marks.prepend(lensFrame);
  const handle = createHandle(plane, () => world.plane);
  const mapHandle = createHandle(map, () => [0, 1]);
  const handles = [handle, mapHandle];

  const landscapes = choice({
    legend: "Loss",
    options: LANDSCAPES,
    onInput: (name) => switchTo(/** @type {State["landscape"]} */ (name)),
  });
  const play = player({
    onFrame(frame, settled) {
      update({ frame }, settled);
    },
  });
  const controls = html("div", { class: "samlib-controls" });
  const sight = html("p", { class: "samlib-readout", "aria-hidden": "true" });
  const voice = html("p", { class: "samlib-hidden samlib-voice", role: "status", "aria-live": "polite" });
  const note = html("p", { class: "samlib-note", role: "status" });
  const reset = button({ label: "Reset", text: "Reset", onPress: () => restore(initial) });
  reset.dataset.control = "reset";
  const link = button({ label: "Copy link", text: "Copy link", onPress: copyLink });
  link.dataset.control = "link";
  if (!linkId) link.hidden = true;

  const root = html(
    "div", { class: "samlib-alignment" },
    html("div", { class: "samlib-top" }, landscapes.el, html("div", { class: "samlib-actions" }, reset, link)),
    legend(),
    html("div", { class: "samlib-stage" }, plane.el, map.el, anglePanel.el, normPanel.el, sharpPanel.el),
    play.el, sight, voice, controls, note,
  ); // prettier-ignore
  el.replaceChildren(root);

  /** @type {Record<string, {el: HTMLElement, show: (value: any) => void}>} */
  let inputs = {};
  let built = "";

  // ── State ────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Change some of the state, here and in the model.
   *
   * @param {Partial<State>} changes @param {boolean} [settled] false while a film runs
   */
  function update(changes, settled = true) {
    apply(changes);
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    const now = performance.now();
    if (settled || now - saved > 250) {
      saved = now;
      model.save_changes();
    }
  }

  /** @param {Partial<State>} changes */
  function apply(changes) {
    const { state } = world;
    const different = Object.keys(changes).filter(
      (name) => JSON.stringify(state[/** @type {keyof State} */ (name)]) !==
        JSON.stringify(changes[/** @type {keyof State} */ (name)]),
    ); // prettier-ignore
    if (different.length === 0) return;
    Object.assign(state, changes);
    const dim = state.landscape === "quadratic" ? state.eigenvalues.length : 4;
    // Python may send a new spectrum a moment before the start that goes with it.
    if (state.start.length !== dim) return;
    state.frame = Math.min(state.frame, state.steps);
    schedule(different.some((name) => name !== "frame" && name !== "zoom"));
  }

  /** @param {State["landscape"]} landscape */
  function switchTo(landscape) {
    if (landscape === initial.landscape) restore(initial);
    else restore({ ...initial, ...config.presets[landscape], landscape, zoom: false });
  }

  /** @param {State} state */
  function restore(state) {
    play.pause();
    note.textContent = "";
    update({ ...state });
  }

  const onModelChange = () => apply(read());
  for (const name of NAMES) model.on(`change:${name}`, onModelChange);

  // ── Permalinks ───────────────────────────────────────────────────────────────────────────────────

  function copyLink() {
    if (!linkId) return;
    const { landscape, eigenvalues, start, rho, lr, steps, frame, zoom: zoomed } = world.state;
    /** @type {import("./permalink.js").LinkState} */
    const entries = { landscape, start, rho, lr, steps, frame };
    if (landscape === "quadratic") entries.eigenvalues = eigenvalues;
    if (zoomed) entries.zoom = 1;
    const fragment = encode(linkId, entries);
    try {
      history.replaceState(null, "", fragment);
    } catch {
      location.hash = fragment; // a page opened from a file may not replace its address
    }
    note.textContent = "The link to this state is in the address bar.";
    navigator.clipboard?.writeText(location.href).then(
      () => (note.textContent = "The link to this state is copied, and in the address bar."),
      () => {},
    );
  }

  function followLink() {
    const entries = linkId ? decode(linkId, location.hash) : null;
    if (!entries) return;
    /** @type {string[]} */
    const messages = [];
    const { limits } = config;
    /** @type {State} */
    const next = { ...initial };
    const landscape = entries.get("landscape");
    if (landscape === "quadratic" || landscape === "four-dimensional") {
      if (landscape !== initial.landscape) Object.assign(next, config.presets[landscape], { landscape });
    } else if (landscape !== undefined) {
      messages.push(`landscape = “${landscape}” is unknown and was ignored`);
    }
    if (next.landscape === "quadratic") {
      const text = entries.get("eigenvalues");
      const spectrum =
        text === undefined ? undefined : readNumbers("λ", text, limits.eigenvalues, [2, 10], messages);
      if (spectrum) {
        next.eigenvalues = spectrum;
        next.start = spectrum.map((_, i) => next.start[Math.min(i, next.start.length - 1)]);
      }
    }
    const dim = next.landscape === "quadratic" ? next.eigenvalues.length : 4;
    const text = entries.get("start");
    const start =
      text === undefined ? undefined : readNumbers("start", text, limits.start, [dim, dim], messages);
    if (start) next.start = start;
    for (const [name, label] of /** @type {const} */ ([["rho", "ρ"], ["lr", "η"], ["steps", "steps"]])) {
      const given = entries.get(name);
      if (given === undefined) continue;
      const value = readNumber(label, given, limits[name], messages);
      if (value !== undefined) next[name] = name === "steps" ? Math.round(value) : value;
    } // prettier-ignore
    const frame = entries.get("frame");
    next.frame = Math.min(next.frame, next.steps);
    if (frame !== undefined) {
      next.frame = Math.round(readNumber("step", frame, [0, next.steps], messages) ?? next.frame);
    }
    next.zoom = entries.get("zoom") === "1";
    restore(next);
    note.textContent = messages.length ? `In the link, ${messages.join("; ")}.` : "";
    if (root.getBoundingClientRect().top > innerHeight || root.getBoundingClientRect().bottom < 0) {
      root.scrollIntoView();
    }
  }

  // ── Drawing, once per animation frame ────────────────────────────────────────────────────────────

  /** @param {boolean} runs must they be computed again? */
  function schedule(runs) {
    stale.runs ||= runs;
    pending ||= requestAnimationFrame(draw);
  }

  function draw() {
    pending = 0;
    performance.mark("samlib:draw");
    if (stale.runs) world.compute();
    stale.runs = false;
    const { state, sam, descent, dim } = world;
    world.at.look(sam.x, state.frame * dim);
    world.descentAt.look(descent.x, state.frame * dim);
    buildControls();
    root.dataset.landscape = state.landscape;
    drawPlane();
    drawPanels();
    if (!world.flat) drawMap();
    showControls();
    const sentence = describe(world);
    if (sight.textContent !== sentence) {
      sight.textContent = sentence;
      clearTimeout(speech);
      speech = window.setTimeout(() => (voice.textContent = sentence), 500);
    }
    performance.measure("samlib:draw", "samlib:draw");
  }
  let speech = 0;

  /** How many samples lie at or before the frame. */
  function playedSamples() {
    const { keys, state } = world;
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (keys[middle] <= state.frame) low = middle + 1;
      else high = middle;
    }
    return low <= HEAD ? low : HEAD + 2 * (low - HEAD);
  }

  let px = new Float64Array(0);
  let py = new Float64Array(0);
  function room() {
    if (px.length < world.samples.length) {
      px = new Float64Array(world.samples.length);
      py = new Float64Array(world.samples.length);
    }
  }

  /**
   * Draw both runs, in coordinates i and j, the future faint and the past strong.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {(v: number) => number} toX @param {(v: number) => number} toY
   * @param {number} i @param {number} j
   */
  function drawRuns(context, toX, toY, i, j) {
    const { samples, dim, sam, descent } = world;
    room();
    const played = playedSamples();
    const far = 1e5;
    for (const [series, colour, dash] of /** @type {const} */ ([
      [descent, colours["gradient-descent"], [6, 4]],
      [sam, colours.sam, []],
    ])) {
      for (let k = 0; k < samples.length; k++) {
        const at = samples[k] * dim;
        const x = toX(series.x[at + i]);
        const y = toY(series.x[at + j]);
        px[k] = x > far ? far : x < -far ? -far : x;
        py[k] = y > far ? far : y < -far ? -far : y;
      }
      context.strokeStyle = context.fillStyle = colour;
      context.lineJoin = "round";
      context.setLineDash([...dash]);
      context.lineWidth = series === sam ? 1.5 : 1.75;
      context.globalAlpha = 0.4;
      traceBranches(context, px, py, samples.length);
      context.globalAlpha = 1;
      context.lineWidth = series === sam ? 1.75 : 2;
      traceBranches(context, px, py, played);
      context.setLineDash([]);
      if (series === sam) dots(context, samples.length, played);
    }
  }

  /** The iterates of SAM themselves, as long as they are apart. @param {CanvasRenderingContext2D} context @param {number} total @param {number} played */
  function dots(context, total, played) {
    let lastX = NaN;
    let lastY = NaN;
    for (let k = 0; k < Math.min(total, HEAD); k++) {
      if (Math.abs(px[k] - lastX) + Math.abs(py[k] - lastY) < 5) continue;
      lastX = px[k];
      lastY = py[k];
      context.globalAlpha = k < played ? 1 : 0.45;
      context.beginPath();
      context.arc(lastX, lastY, 2.25, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  /**
   * Both current points: SAM a disc, with a ring where its next step lands; gradient descent a square.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {(v: number) => number} toX @param {(v: number) => number} toY
   * @param {number} i @param {number} j
   */
  function drawPoints(context, toX, toY, i, j) {
    const { state, dim, sam, descent } = world;
    const at = state.frame * dim;
    const square = 4.5;
    context.lineWidth = 2;
    context.strokeStyle = colours["gradient-descent"];
    context.fillStyle = colours.plot;
    context.beginPath();
    context.rect(toX(descent.x[at + i]) - square, toY(descent.x[at + j]) - square, 2 * square, 2 * square);
    context.fill();
    context.stroke();
    if (state.frame < state.steps) {
      context.strokeStyle = colours.sam;
      context.beginPath();
      context.arc(toX(sam.x[at + dim + i]), toY(sam.x[at + dim + j]), 4.5, 0, 7);
      context.stroke();
    }
    context.fillStyle = colours.sam;
    context.strokeStyle = colours.plot;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(toX(sam.x[at + i]), toY(sam.x[at + j]), 6, 0, 7);
    context.fill();
    context.stroke();
  }

  /**
   * The bowl in the two coordinates of the plane, in any rectangle of the canvas.
   *
   * @param {{left: number, right: number, top: number, bottom: number}} box @param {number} reach
   *   half of what the rectangle shows, in units of x
   */
  function drawBowl(box, reach) {
    const { context } = plane;
    const { state, sam, at, dim, plane: [i, j] } = world; // prettier-ignore
    const centreX = (box.left + box.right) / 2;
    const centreY = (box.top + box.bottom) / 2;
    const scale = (box.right - box.left) / 2 / reach;
    const toX = (/** @type {number} */ v) => centreX + scale * v;
    const toY = (/** @type {number} */ v) => centreY - scale * v;

    // Contours: L = c is an ellipse; each c is four times the last, each ellipse twice as large.
    const [a, b] = curvatures();
    const widest = (2 * reach * Math.SQRT2) ** 2 * Math.max(a, b);
    context.lineWidth = 1;
    context.strokeStyle = context.fillStyle = colours.faint;
    for (let c = 2 ** Math.ceil(Math.log2(widest)), n = 0; n < 18; c /= 2, n++) {
      context.beginPath();
      context.ellipse(centreX, centreY, Math.sqrt(c / a) * scale, Math.sqrt(c / b) * scale, 0, 0, 7);
      context.globalAlpha = 0.06;
      context.fill();
      context.globalAlpha = 0.5;
      if (Math.sqrt(c / Math.max(a, b)) * scale > 3) context.stroke();
    }
    context.globalAlpha = 1;

    drawRuns(context, toX, toY, i, j);

    // Where Theorem 4.8 says that SAM ends.
    const centre = state.frame * dim;
    const radius = world.radius(world.sharpness(sam.x, centre));
    const [vi, vj] = topDirection();
    if (Number.isFinite(radius)) {
      for (const sign of [-1, 1]) {
        diamond(context, toX(sign * radius * vi), toY(sign * radius * vj), 7, colours.ink);
      }
    }
    drawPoints(context, toX, toY, i, j);

    // The arrows, both of unit length before they are projected into the plane.
    const x = toX(sam.x[centre + i]);
    const y = toY(sam.x[centre + j]);
    const size = norm2(at.gradient);
    const g = [at.gradient[i] / size, at.gradient[j] / size];
    let v = [at.eigenvector[i], at.eigenvector[j]];
    let dot = 0;
    for (let k = 0; k < dim; k++) dot += at.gradient[k] * at.eigenvector[k];
    if (dot < 0) v = [-v[0], -v[1]];
    arrow(context, x, y, 66 * v[0], -66 * v[1], colours.eigenvector, 1.75);
    arrow(context, x, y, 48 * g[0], -48 * g[1], colours.ascent, 3);
    return { x, y, g, v, centreX, centreY, scale };
  }

  /** The curvatures of the loss along the two coordinates of the plane, where SAM is now. */
  function curvatures() {
    const { state, flat, sam, dim, plane: [i, j] } = world; // prettier-ignore
    if (flat) return [state.eigenvalues[i], state.eigenvalues[j]];
    const at = state.frame * dim;
    const pair = [2 * factor1(sam.x[at], sam.x[at + 1]), 2 * factor2(sam.x[at], sam.x[at + 1])];
    return pair.every(Number.isFinite) ? pair : [16, 16];
  }

  /** The eigenvector that belongs to λ₁ at the minimizer, in the plane: one of its axes. */
  function topDirection() {
    const [a, b] = curvatures();
    return a >= b ? [1, 0] : [0, 1];
  }

  function drawPlane() {
    const { state, plane: [i, j], sam, dim, samples } = world; // prettier-ignore
    const { context, box } = plane;
    if (box.right <= box.left) return;
    plane.clear();
    const radius = world.radius(world.sharpness(sam.x, state.frame * dim));
    const last = world.radius(sam.sharpness[samples.length - 1]);
    if (!dragging) {
      const far = Math.max(Math.abs(state.start[i]), Math.abs(state.start[j]));
      const cycle = Number.isFinite(radius) && radius < 20 * far ? radius : 0;
      half = niceCeil(1.15 * Math.max(far, cycle) || 1);
    }
    const close = Number.isFinite(last) && last > 0 ? niceCeil(2.2 * last) : 0;
    const zoomed = state.zoom && close > 0;
    const reach = zoomed ? close : half;
    const scene = drawBowl(box, reach);

    const showLens = !zoomed && close > 0 && close < 0.3 * half;
    planeLabels.hide("lens", !showLens);
    lensFrame.toggleAttribute("hidden", !showLens);
    if (showLens) {
      // In the quarter opposite to the start, where SAM does not pass.
      const size = 0.4 * (box.right - box.left);
      const pad = 8;
      const onLeft = state.start[i] >= 0;
      const atBottom = state.start[j] >= 0;
      const left = onLeft ? box.left + pad : box.right - pad - size;
      const top = atBottom ? box.bottom - pad - size : box.top + pad;
      const lens = { left, top, right: left + size, bottom: top + size };
      context.save();
      context.beginPath();
      context.rect(left, top, size, size);
      context.clip();
      context.fillStyle = colours.plot;
      context.fill();
      drawBowl(lens, close);
      context.restore();
      const r = Math.max(scene.scale * close, 2);
      const { centreX: cx, centreY: cy } = scene;
      const nearX = onLeft ? lens.right : lens.left;
      const nearY = atBottom ? lens.top : lens.bottom;
      const farX = onLeft ? lens.left : lens.right;
      const farY = atBottom ? lens.bottom : lens.top;
      const sx = onLeft ? -r : r;
      const sy = atBottom ? r : -r;
      lensFrame.setAttribute(
        "d",
        `M${left} ${top}h${size}v${size}h${-size}z` +
          `M${cx - r} ${cy - r}h${2 * r}v${2 * r}h${-2 * r}z` +
          `M${cx + sx} ${cy - sy}L${farX} ${nearY}M${cx - sx} ${cy + sy}L${nearX} ${farY}`,
      );
      planeLabels.put("lens", left + 6, top + 16, `×${number(half / close, 2)}`, "start");
    }

    const ticks = reach / 2;
    const x = scaleLinear([-reach, reach], [box.left, box.right]);
    const y = scaleLinear([-reach, reach], [box.bottom, box.top]);
    const tickValues = [-2 * ticks, -ticks, 0, ticks, 2 * ticks].map((t) => Number(t.toPrecision(6)));
    plane.axes(x, y, {
      xTicks: tickValues, yTicks: tickValues,
      xFormat: (v) => number(v), yFormat: (v) => number(v),
    }); // prettier-ignore
    plane.svg.querySelectorAll(".samlib-axis-label")[0].textContent = `x${subscript(i + 1)}`;
    plane.svg.querySelectorAll(".samlib-axis-label")[1].textContent = `x${subscript(j + 1)}`;

    // Labels at the tips of the arrows, on opposite sides of them.
    const turn = Math.sign(scene.g[0] * scene.v[1] - scene.g[1] * scene.v[0]) || 1;
    for (const [name, direction, length, side] of /** @type {const} */ ([
      ["∇L", scene.g, 48, -turn],
      ["v₁", scene.v, 66, turn],
    ])) {
      const tipX = scene.x + length * direction[0] - 14 * side * direction[1];
      const tipY = scene.y - length * direction[1] - 14 * side * direction[0];
      const visible = Number.isFinite(tipX) && Math.hypot(direction[0], direction[1]) > 0.2;
      planeLabels.hide(name, !visible);
      if (visible) planeLabels.put(name, tipX, tipY + 4, name, "middle");
    }
    setTitle(plane, world.flat ? "The loss around its minimum" : "Across Γ: the bowl in (x₃, x₄)");
    handle.put(x(state.start[i]), y(state.start[j]), box);
    handle.scale = { toX: x.invert, toY: y.invert, reach };
  }

  function drawPanels() {
    const { state, samples, sam, descent, limit, at, descentAt, flat, dim } = world;
    const frame = state.frame;
    const now = frame * dim;
    const time = scaleSymlog([0, state.steps], [0, 1]);
    const xTicks = [0, 1, 10, 100, 1000, 10_000, 100_000].filter((t) => t <= state.steps);
    const xFormat = (/** @type {number} */ t) => (t >= 1000 ? `${t / 1000}k` : String(t));

    panel(anglePanel, scaleLog([LEAST_ANGLE, 120], [0, 1]), [0.001, 0.01, 0.1, 1, 10, 90],
      (v) => `${v}°`, sam.angle, descent.angle, at.angle, descentAt.angle); // prettier-ignore

    const sure = limit[0] > 0 && Number.isFinite(limit[0]) ? limit[0] : world.distance(state.start) || 1;
    const low = 10 ** Math.floor(Math.log10(Math.min(sure, world.distance(state.start) || 1) / 2));
    const high = 10 ** Math.ceil(Math.log10(1.1 * Math.max(sure, world.distance(state.start))));
    const decades = [];
    for (let d = low; d <= high * 1.01; d *= 10) decades.push(Number(d.toPrecision(1)));
    panel(normPanel, scaleLog([low, high], [0, 1]), decades, decade,
      sam.distance, descent.distance, world.distance(sam.x, now), world.distance(descent.x, now), limit); // prettier-ignore
    setTitle(normPanel, flat ? "Distance from the minimum, ‖x‖" : "Distance from Γ, ‖(x₃, x₄)‖");

    if (!flat) {
      const top = Math.max(18, 2 * Math.ceil((Math.min(world.sharpness(state.start), 60) + 0.5) / 2));
      const ticks = [16, (16 + top) / 2, top];
      panel(sharpPanel, scaleLinear([15, top + 0.5], [0, 1]), ticks, (v) => number(v),
        sam.sharpness, descent.sharpness, world.sharpness(sam.x, now), world.sharpness(descent.x, now)); // prettier-ignore
    }

    /**
     * @param {Plot} plot @param {any} y @param {number[]} yTicks @param {(v: number) => string} yFormat
     * @param {Float64Array} first @param {Float64Array} second @param {number} firstNow
     * @param {number} secondNow @param {Float64Array} [predicted]
     */
    function panel(plot, y, yTicks, yFormat, first, second, firstNow, secondNow, predicted) {
      const { context, box } = plot;
      if (box.right <= box.left) return;
      plot.clear();
      room();
      const x = time.copy().range([box.left, box.right - 4]);
      y.range([box.bottom, box.top]);
      const floor = box.bottom + 20;
      const height = (/** @type {number} */ v) => (v > 0 ? Math.min(y(v), floor) : v === 0 ? floor : NaN);
      for (let k = 0; k < samples.length; k++) px[k] = x(samples[k]);
      context.strokeStyle = colours.faint;
      context.lineWidth = 1;
      context.globalAlpha = 0.6;
      context.beginPath();
      for (const tick of yTicks) {
        context.moveTo(box.left, Math.round(y(tick)) + 0.5);
        context.lineTo(box.right, Math.round(y(tick)) + 0.5);
      }
      context.stroke();
      context.globalAlpha = 1;
      const here = x(frame);
      context.strokeStyle = colours.soft;
      context.beginPath();
      context.moveTo(here, box.top);
      context.lineTo(here, box.bottom);
      context.stroke();
      for (const [values, colour, dash, weight] of /** @type {const} */ ([
        [second, colours["gradient-descent"], [6, 4], 2],
        [first, colours.sam, [], 2],
        [predicted, colours.ink, [2, 3], 1.75],
      ])) {
        if (!values) continue;
        for (let k = 0; k < samples.length; k++) py[k] = height(values[k]);
        context.strokeStyle = colour;
        context.lineWidth = weight;
        context.setLineDash([...dash]);
        traceBranches(context, px, py, samples.length);
      }
      context.setLineDash([]);
      context.lineWidth = 2;
      context.strokeStyle = colours["gradient-descent"];
      context.fillStyle = colours.plot;
      context.beginPath();
      context.rect(here - 4, height(secondNow) - 4, 8, 8);
      context.fill();
      context.stroke();
      context.fillStyle = colours.sam;
      context.strokeStyle = colours.plot;
      context.beginPath();
      context.arc(here, height(firstNow), 5, 0, 7);
      context.fill();
      context.stroke();
      plot.axes(x, y, { xTicks, yTicks, xFormat, yFormat });
      if (predicted) {
        const end = height(predicted[predicted.length - 1]);
        normLabel.hide("predicted limit", !Number.isFinite(end));
        const below = end < box.top + 24;
        if (Number.isFinite(end)) {
          normLabel.put("predicted limit", box.right - 6, end + (below ? 18 : -8), "predicted", "end");
        }
      }
    }
  }

  /** @type {{key: string, canvas: HTMLCanvasElement}} */
  const relief = { key: "", canvas: document.createElement("canvas") };

  function drawMap() {
    const { state, sam, descent, dim } = world;
    const { context, box } = map;
    if (box.right <= box.left) return;
    map.clear();
    // The part of Γ with the minimizers of all three notions, or more if the start lies outside.
    let low = -0.35;
    let high = 1.15;
    if (!dragging) {
      const out = Math.max(low - state.start[0], low - state.start[1], state.start[0] - high, state.start[1] - high);
      mapReach = out > 0 ? niceCeil(out + 0.1) : 0;
    } // prettier-ignore
    low -= mapReach;
    high += mapReach;
    const x = scaleLinear([low, high], [box.left, box.right]);
    const y = scaleLinear([low, high], [box.bottom, box.top]);
    drawRelief(low, high);
    const ratio = context.getTransform().a;
    context.drawImage(relief.canvas, box.left, box.top, relief.canvas.width / ratio, relief.canvas.height / ratio);

    // The limiting flow of Theorem 4.5 from where gradient descent arrives: dX/dτ = −∇F₁ while F₁ > F₂.
    const end = state.steps * dim;
    const from = [descent.x[end], descent.x[end + 1]];
    context.strokeStyle = colours.worst;
    context.lineWidth = 2;
    context.setLineDash([2, 4]);
    context.beginPath();
    for (let s = 1; s >= -0.001; s -= 0.02) {
      const a = from[0] * s;
      const b = from[1] * s ** 6;
      if (factor2(a, b) >= factor1(a, b)) break;
      context.lineTo(x(a), y(b));
    }
    context.stroke();
    context.setLineDash([]);

    drawRuns(context, x, y, 0, 1);
    diamond(context, x(0), y(0), 7, colours.ink);
    drawPoints(context, x, y, 0, 1);
    map.axes(x, y, {
      xTicks: [0, 0.5, 1], yTicks: [0, 0.5, 1], xFormat: (v) => number(v), yFormat: (v) => number(v),
    }); // prettier-ignore
    for (const level of LABELLED_LEVELS) {
      const a = low + 0.1 * (high - low);
      const b = Math.sqrt(Math.max((level / 2 - 8 - a * a) / 6, 0));
      mapLabels.hide(String(level), b === 0 || b > high - 0.05 || mapReach > 0.5);
      mapLabels.put(String(level), x(a), y(b) + 4, level === 18 ? "λ₁ = 18" : String(level), "middle");
    }
    mapLabels.put("least λ₁", x(0), y(0) + 22, "least λ₁: 16", "middle");
    mapHandle.put(x(state.start[0]), y(state.start[1]), box);
    mapHandle.scale = { toX: x.invert, toY: y.invert, reach: (high - low) / 2 };
  }
  let mapReach = 0;

  /** Filled contours of λ₁ on Γ, drawn once for a size and a theme. @param {number} low @param {number} high */
  function drawRelief(low, high) {
    const { box, context } = map;
    const ratio = context.getTransform().a;
    const size = Math.round((box.right - box.left) * ratio);
    const key = [size, low, high, colours.worst, colours.plot].join();
    if (key === relief.key) return;
    relief.key = key;
    relief.canvas.width = relief.canvas.height = size;
    const paper = /** @type {CanvasRenderingContext2D} */ (relief.canvas.getContext("2d"));
    const n = 120;
    const grid = new Array(n * n);
    for (let r = 0; r < n; r++) {
      for (let c = 0; c < n; c++) {
        const at = (/** @type {number} */ k) => low + ((k + 0.5) / n) * (high - low);
        grid[r * n + c] = sharpnessOnManifold(at(c), at(n - 1 - r));
      }
    }
    const rings = contours().size([n, n]).thresholds(LEVELS)(grid);
    paper.fillStyle = paper.strokeStyle = colours.worst;
    paper.lineWidth = ratio;
    for (const { coordinates } of rings) {
      paper.beginPath();
      for (const polygon of coordinates) {
        for (const ring of polygon) {
          ring.forEach(([c, r], k) => {
            if (k === 0) paper.moveTo((c / n) * size, (r / n) * size);
            else paper.lineTo((c / n) * size, (r / n) * size);
          });
        }
      }
      paper.globalAlpha = 0.07;
      paper.fill("evenodd");
      paper.globalAlpha = 0.35;
      paper.stroke();
    }
  }

  // ── Labels and handles ───────────────────────────────────────────────────────────────────────────

  /**
   * The handle by which the start is moved in coordinates [i, j] of a plot.
   *
   * @param {Plot} plot @param {() => readonly [number, number] | number[]} coordinates
   */
  function createHandle(plot, coordinates) {
    const group = svg(
      "g", { class: "samlib-handle", tabindex: 0, role: "slider", "aria-valuenow": 0, "data-control": "start" },
      svg("circle", { r: 22, class: "samlib-touch" }), svg("circle", { r: 9, class: "samlib-ring" }),
      svg("text", { y: -14, "text-anchor": "middle", class: "samlib-mark" }, "start"),
    ); // prettier-ignore
    const text = /** @type {SVGTextElement} */ (group.lastElementChild);
    plot.marks.append(group);
    const self = {
      group,
      /** @type {{toX: (px: number) => number, toY: (px: number) => number, reach: number}} */
      scale: { toX: Number, toY: Number, reach: 1 },
      /** @param {number} x @param {number} y @param {Plot["box"]} box */
      put(x, y, box) {
        const inside =
          x >= box.left - 1 && x <= box.right + 1 && y >= box.top - 1 && y <= box.bottom + 1;
        group.toggleAttribute("hidden", !inside);
        group.setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)})`);
        text.setAttribute("y", y < box.top + 28 ? "24" : "-14");
        const [i, j] = coordinates();
        const [a, b] = [world.state.start[i], world.state.start[j]];
        const names = `x${subscript(i + 1)} and x${subscript(j + 1)}`;
        group.setAttribute("aria-label", `Start of both runs, ${names}; arrow keys move it`);
        group.setAttribute("aria-valuenow", String(a));
        group.setAttribute("aria-valuetext", `${number(a)}, ${number(b)}`);
      },
      /** @param {number} a @param {number} b */
      moveTo(a, b) {
        const [i, j] = coordinates();
        const [low, high] = config.limits.start;
        const start = [...world.state.start];
        const tidy = (/** @type {number} */ v) =>
          Number(Math.min(Math.max(v, low), high).toFixed(Math.max(0, 3 - Math.floor(Math.log10(self.scale.reach)))));
        start[i] = tidy(a);
        start[j] = tidy(b);
        update({ start });
      },
      /** @param {KeyboardEvent} event */
      key(event) {
        const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
        const d = /** @type {Record<string, number[]>} */ (directions)[event.key];
        if (!d) return false;
        const by = self.scale.reach * (event.shiftKey ? 0.1 : 0.02);
        const [i, j] = coordinates();
        self.moveTo(world.state.start[i] + by * d[0], world.state.start[j] + by * d[1]);
        return true;
      },
    };
    group.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      group.focus();
      group.setPointerCapture(event.pointerId);
      play.pause();
      dragging = true;
    });
    group.addEventListener("pointermove", (event) => {
      if (!group.hasPointerCapture(event.pointerId)) return;
      const { left, top } = plot.svg.getBoundingClientRect();
      const { box } = plot;
      const x = Math.min(Math.max(event.clientX - left, box.left), box.right);
      const y = Math.min(Math.max(event.clientY - top, box.top), box.bottom);
      self.moveTo(self.scale.toX(x), self.scale.toY(y));
    });
    group.addEventListener("lostpointercapture", () => {
      dragging = false;
      schedule(false);
    });
    return self;
  }

  for (const plot of panels) {
    // Pointing at a panel scrubs.
    const scrub = (/** @type {PointerEvent} */ event) => {
      const { left, right } = plot.box;
      const at = event.clientX - plot.svg.getBoundingClientRect().left;
      const part = Math.min(Math.max((at - left) / (right - 4 - left), 0), 1);
      const t = Math.expm1(part * Math.log1p(world.state.steps));
      const near = world.keys.reduce((a, b) => (Math.abs(b - t) < Math.abs(a - t) ? b : a));
      play.pause();
      update({ frame: near });
    };
    plot.svg.addEventListener("pointerdown", (event) => {
      plot.svg.setPointerCapture(event.pointerId);
      scrub(event);
    });
    plot.svg.addEventListener("pointermove", (event) => {
      if (plot.svg.hasPointerCapture(event.pointerId)) scrub(event);
    });
  }

  // ── Controls ─────────────────────────────────────────────────────────────────────────────────────

  /** The controls depend on the loss and the number of its eigenvalues. */
  function buildControls() {
    const { state, dim } = world;
    const key = `${state.landscape} ${dim}`;
    if (key === built) return;
    built = key;
    inputs = {};
    const ranges = config.sliders[state.landscape];
    const { limits } = config;
    const make = (/** @type {string} */ name, /** @type {string} */ label, integer = false) =>
      (inputs[name] = slider({
        label, name, integer, range: ranges[name], limits: limits[name],
        onInput: (value) => update({ [name]: value }),
      })); // prettier-ignore
    make("rho", "Radius ρ");
    make("lr", "Learning rate η");
    /** @type {HTMLElement[]} */
    const spectrum = [];
    if (world.flat) {
      for (let i = 0; i < dim; i++) {
        const options = {
          name: `eigenvalue-${i + 1}`, label: `λ along x${subscript(i + 1)}`, limits: limits.eigenvalues,
          onInput: (/** @type {number} */ value) =>
            update({ eigenvalues: world.state.eigenvalues.map((v, k) => (k === i ? value : v)) }),
        }; // prettier-ignore
        if (dim <= 4) {
          inputs[options.name] = slider({ ...options, range: ranges.eigenvalues });
        } else {
          inputs[options.name] = labelled(`λ, x${subscript(i + 1)}`, numberField(options));
          spectrum.push(inputs[options.name].el);
        }
      }
    }
    make("steps", "Steps", true);
    const sliders = Object.values(inputs).filter(({ el: e }) => !spectrum.includes(e)).map(({ el: e }) => e);
    const starts = [];
    for (let i = 0; i < dim; i++) {
      const name = `start-${i + 1}`;
      inputs[name] = labelled(`x${subscript(i + 1)}`, numberField({
        name, label: `Start, x${subscript(i + 1)}`, limits: limits.start,
        onInput: (value) => update({ start: world.state.start.map((v, k) => (k === i ? value : v)) }),
      })); // prettier-ignore
      starts.push(inputs[name].el);
    }
    const rows = [html("div", { class: "samlib-fields" }, html("span", {}, "Start"), ...starts)];
    if (spectrum.length) {
      rows.unshift(html("div", { class: "samlib-fields" }, html("span", {}, "Spectrum"), ...spectrum));
    }
    controls.replaceChildren(...sliders, ...rows);
  }

  /** @param {string} text @param {{el: HTMLElement, show: (value: number) => void}} input */
  const labelled = (text, input) => ({
    el: html("label", { class: "samlib-field" }, html("span", { "aria-hidden": "true" }, text), input.el),
    show: input.show,
  });

  function showControls() {
    const { state, keys } = world;
    inputs.rho.show(state.rho);
    inputs.lr.show(state.lr);
    inputs.steps.show(state.steps);
    state.start.forEach((value, i) => inputs[`start-${i + 1}`].show(value));
    if (world.flat) state.eigenvalues.forEach((value, i) => inputs[`eigenvalue-${i + 1}`].show(value));
    landscapes.show(state.landscape);
    play.show(state.frame, keys, `step ${count(state.frame)} of ${count(state.steps)}`);
    zoom.setAttribute("aria-pressed", String(state.zoom));
    zoom.textContent = state.zoom ? "Zoom out" : "Zoom in";
  }

  // ── Life ─────────────────────────────────────────────────────────────────────────────────────────

  const stopKeys = captureKeys(root, (event) => {
    const target = handles.find(({ group }) => group === event.target);
    return target ? target.key(event) : false;
  });
  const stopTheme = onThemeChange(() => {
    colours = palette(el);
    schedule(false);
  });
  if (linkId) {
    addEventListener("hashchange", followLink);
    followLink();
  }
  schedule(true);

  return () => {
    play.dispose();
    cancelAnimationFrame(pending);
    clearTimeout(speech);
    stopKeys();
    stopTheme();
    removeEventListener("hashchange", followLink);
    for (const name of NAMES) model.off(`change:${name}`, onModelChange);
    for (const plot of [plane, map, ...panels]) plot.dispose();
  };
}

/** @param {Float64Array} v */
function norm2(v) {
  let sum = 0;
  for (const c of v) sum += c * c;
  return Math.sqrt(sum);
}

/** @param {Plot} plot @param {string} title */
function setTitle(plot, title) {
  const span = /** @type {HTMLElement} */ (plot.heading.firstElementChild);
  if (span.textContent === title) return;
  span.textContent = title;
  plot.svg.setAttribute("aria-label", title);
}

/**
 * Text over a plot.
 *
 * @param {Plot} plot @param {string[]} names
 */
function createLabels(plot, names) {
  const texts = new Map(
    names.map((name) => [name, svg("text", { class: "samlib-mark", "aria-hidden": "true" })]),
  );
  plot.marks.append(...texts.values());
  return {
    /** @param {string} name @param {boolean} hidden */
    hide: (name, hidden) => texts.get(name)?.toggleAttribute("hidden", hidden),
    /** @param {string} name @param {number} x @param {number} y @param {string} text @param {string} anchor */
    put(name, x, y, text, anchor) {
      const label = /** @type {SVGTextElement} */ (texts.get(name));
      label.setAttribute("transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
      label.setAttribute("text-anchor", anchor);
      if (label.textContent !== text) label.textContent = text;
    },
  };
}

/** What the lines and marks are. */
function legend() {
  const sample = (/** @type {string} */ name, /** @type {Node[]} */ ...shapes) =>
    svg("svg", { viewBox: "0 0 32 14", class: `samlib-key samlib-key-${name}`, "aria-hidden": "true" }, ...shapes);
  const line = () => svg("path", { d: "M1 7h30" });
  const pointed = () => svg("path", { d: "M1 7h22m0-4l8 4l-8 4z" });
  /** @type {[string, SVGElement[], string][]} */
  const entries = [
    ["sam", [line(), svg("circle", { cx: 16, cy: 7, r: 4.5 })], "SAM"],
    ["gradient-descent", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "gradient descent"],
    ["ascent", [pointed()], "gradient ∇L"],
    ["eigenvector", [pointed()], "top eigenvector v₁"],
    ["predicted", [svg("path", { d: "M16 1l6 6l-6 6l-6-6z" })], "predicted: ±ηρλ₁/(2 − ηλ₁) v₁"],
    ["worst", [line()], "limiting flow"],
  ];
  return html(
    "ul", { class: "samlib-legend" },
    ...entries.map(([name, shapes, text]) =>
      html("li", { class: `samlib-entry-${name}` }, sample(name, ...shapes), text)),
  ); // prettier-ignore
}

/**
 * One sentence that says what is shown.
 *
 * @param {ReturnType<typeof createWorld>} world
 * @returns {string}
 */
export function describe(world) {
  const { state, sam, descent, at, descentAt, flat, dim } = world;
  const now = state.frame * dim;
  const lambda1 = world.sharpness(sam.x, now);
  const distance = world.distance(sam.x, now);
  const product = state.lr * lambda1;
  const opening = `Step ${count(state.frame)}: `;
  const start = world.distance(state.start);
  const end = world.distance(sam.x, state.steps * dim);
  if ((flat && product > 2) || !(end < 1e3 * Math.max(start, 1))) {
    const first = state.lr * world.sharpness(state.start);
    const gone = Number.isFinite(distance) ? `‖x‖ = ${number(distance)}` : "beyond all floating-point numbers";
    return `${opening}diverging, because ηλ₁ = ${number(first)} is more than 2; SAM is at ${gone}.`;
  }
  const radius = world.radius(lambda1);
  const angle = (/** @type {number} */ a) => (Number.isNaN(a) ? "no angle" : `${degrees(a)}`);
  const where = flat ? `‖x‖ = ${number(distance)}` : `${number(distance)} from Γ`;
  const limit = Number.isFinite(radius) ? ` (predicted limit ${number(radius)})` : "";
  const unique = flat && state.eigenvalues.filter((v) => v === lambda1).length > 1;
  const turned = unique
    ? "λ₁ is a double eigenvalue, so v₁ is not unique"
    : `SAM’s gradient is ${angle(at.angle)} from v₁`;
  if (flat) {
    const other = Number.isNaN(descentAt.angle)
      ? "gradient descent has arrived"
      : `gradient descent’s is ${angle(descentAt.angle)} from it`;
    return `${opening}${turned} and ${where}${limit}; ${unique ? "gradient descent is at ‖x‖ = " + number(world.distance(descent.x, now)) : other}.`;
  }
  const drift = `λ₁ = ${number(lambda1, 4)}`;
  const rest = number(world.sharpness(descent.x, now), 4);
  return `${opening}${turned}, it is ${where}${limit}, and ${drift}; gradient descent has λ₁ = ${rest}.`;
}

/** @param {number} angle */
const degrees = (angle) => (angle < 0.001 ? "less than 0.001°" : `${number(angle, angle < 1 ? 2 : 3)}°`);
