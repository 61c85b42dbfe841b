// The figure "Alignment": under SAM the gradient turns towards the top eigenvector of the Hessian.
//
// The data flows one way: state → runs → samples (world.js) → pictures (bowl.js, map.js, panels.js). A
// change of ρ, η, the spectrum or the start recomputes all of it; a change of the frame only redraws.

import { createBowl } from "./bowl.js";
import { choice, numberField, player, slider } from "../../shared/controls.js";
import { html, svg } from "../../shared/dom.js";
import { count, subscript } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line, sample } from "../../shared/legend.js";
import { createMap } from "./map.js";
import { createPanels } from "./panels.js";
import { quoted, readNumber, readNumbers } from "../../shared/permalink.js";
import { createSpectrum, dimensionControl, resized } from "./spectrum.js";
import { createWorld, describe } from "./world.js";

/** @typedef {import("../../shared/model.js").Model} Model */
/** @typedef {import("./world.js").State} State */

/** @type {(keyof State)[]} */
const NAMES = ["landscape", "eigenvalues", "start", "rho", "lr", "steps", "frame", "zoom", "invariant"];

const LANDSCAPES = /** @type {const} */ ([
  ["quadratic", "Quadratic"],
  ["four-dimensional", "Four-dimensional loss"],
]);

/**
 * @param {{model: Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderAlignment(context) {
  const frame = createFrame(context, {
    names: NAMES,
    redrawOnly: ["frame", "zoom", "invariant"],
    presetBy: "landscape",
    complete(/** @type {State} */ state) {
      return state.start.length === (state.landscape === "quadratic" ? state.eigenvalues.length : 4);
    },
  });
  const { config, root, update } = frame;
  const world = createWorld(frame.state);

  // ── The parts ────────────────────────────────────────────────────────────────────────────────────

  /** @type {import("./view.js").View} */
  const view = Object.assign(frame, { world });
  const bowl = createBowl(view);
  const map = createMap(view);
  const spectrum = createSpectrum(view);
  const panels = createPanels(view);
  const invariant = html("input", {
    type: "checkbox", "data-control": "invariant",
    onchange: () => update({ invariant: invariant.checked }),
  }); // prettier-ignore
  const landscapes = choice({
    legend: "Loss",
    options: LANDSCAPES,
    onInput: (name) => frame.restore({ ...frame.preset(name), zoom: false }),
  });
  const play = player({
    onFrame(step, settled) {
      update({ frame: step }, settled);
    },
  });
  const controls = html("div", { class: "samlib-controls" });

  /** @type {Record<string, {el: HTMLElement, show: (value: any) => void}>} */
  let inputs = {};
  let built = { landscape: "", dim: 0 };

  function draw() {
    const { state, sam, descent, dim } = world;
    world.at.look(sam.x, state.frame * dim);
    world.descentAt.look(descent.x, state.frame * dim);
    root.dataset.landscape = state.landscape;
    buildControls();
    showControls();
    bowl.draw();
    map.draw();
    spectrum.draw();
    panels.draw();
  }

  // ── Controls ─────────────────────────────────────────────────────────────────────────────────────

  /** The sliders depend on the loss, the table of numbers on its dimension, too. */
  function buildControls() {
    const { state, dim } = world;
    if (state.landscape !== built.landscape) buildSliders();
    else if (dim !== built.dim) controls.lastElementChild?.replaceWith(buildTable());
    built = { landscape: state.landscape, dim };
  }

  function buildSliders() {
    inputs = {};
    const ranges = config.sliders[world.state.landscape];
    const make = (/** @type {string} */ name, /** @type {string} */ label, integer = false) =>
      (inputs[name] = slider({
        label, name, integer, range: ranges[name], limits: config.limits[name],
        onInput: (value) => update({ [name]: value }),
      })); // prettier-ignore
    make("rho", "Radius ρ");
    make("lr", "Learning rate η");
    if (world.flat) {
      inputs.dimension = dimensionControl(ranges.dimension, (dim) => update(resized(world.state, dim)));
    }
    make("steps", "Steps", true);
    controls.replaceChildren(...Object.values(inputs).map(({ el }) => el), buildTable());
  }

  /** A column for each coordinate. */
  function buildTable() {
    const { dim, flat } = world;
    const columns = Array.from({ length: dim }, (_, i) => `x${subscript(i + 1)}`);
    const title = (/** @type {string} */ text) => html("span", { "aria-hidden": "true" }, text);
    /** @param {string} stem @param {"eigenvalues" | "start"} trait @param {string} label */
    const row = (stem, trait, label) =>
      columns.map((column, i) => {
        const name = `${stem}-${i + 1}`;
        inputs[name] = numberField({
          name, label: `${label} ${column}`, limits: config.limits[trait],
          onInput: (value) => update({ [trait]: world.state[trait].map((v, k) => (k === i ? value : v)) }),
        }); // prettier-ignore
        return inputs[name].el;
      });
    const table = html(
      "div", { class: "samlib-table" }, title(""), ...columns.map(title),
      ...(flat ? [title("λ"), ...row("eigenvalue", "eigenvalues", "λ along")] : []),
      title("Start"), ...row("start", "start", "Start,"),
    ); // prettier-ignore
    table.style.setProperty("--samlib-columns", String(dim));
    return table;
  }

  function showControls() {
    const { state, keys, dim } = world;
    inputs.rho.show(state.rho);
    inputs.lr.show(state.lr);
    inputs.steps.show(state.steps);
    state.start.forEach((value, i) => inputs[`start-${i + 1}`].show(value));
    if (world.flat) {
      inputs.dimension.show(dim);
      state.eigenvalues.forEach((value, i) => inputs[`eigenvalue-${i + 1}`].show(value));
    }
    invariant.checked = state.invariant;
    landscapes.show(state.landscape);
    play.show(state.frame, keys, `step ${count(state.frame)} of ${count(state.steps)}`);
  }

  // ── Links ────────────────────────────────────────────────────────────────────────────────────────

  /** @param {State} state */
  function writeLink({ landscape, eigenvalues, start, rho, lr, steps, frame: step, zoom, invariant }) {
    /** @type {import("../../shared/permalink.js").LinkState} */
    const entries = { landscape, start, rho, lr, steps, frame: step };
    if (landscape === "quadratic") entries.eigenvalues = eigenvalues;
    if (zoom) entries.zoom = 1;
    if (invariant) entries.invariant = 1;
    return entries;
  }

  /** @param {Map<string, string>} entries @param {string[]} messages */
  function readLink(entries, messages) {
    const { limits } = config;
    const landscape = entries.get("landscape");
    const known = landscape === "quadratic" || landscape === "four-dimensional";
    const next = frame.preset(known ? landscape : frame.initial.landscape);
    if (!known && landscape !== undefined) {
      messages.push(`landscape = “${quoted(landscape)}” is unknown and was ignored`);
    }
    if (next.landscape === "quadratic") {
      const text = entries.get("eigenvalues");
      const spectrum =
        text === undefined ? undefined : readNumbers("λ", text, limits.eigenvalues, config.sliders.quadratic.dimension, messages);
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
    const shown = entries.get("frame");
    next.frame = Math.min(next.frame, next.steps);
    if (shown !== undefined) {
      next.frame = Math.round(readNumber("step", shown, [0, next.steps], messages) ?? next.frame);
    }
    next.zoom = entries.get("zoom") === "1";
    next.invariant = entries.get("invariant") === "1";
    return next;
  }

  return frame.mount({
    className: "samlib-alignment",
    choices: landscapes.el,
    hint: "Drag the start, move a slider, press play, or drag across a panel to go through time.",
    legend: legend(invariant),
    stage: [bowl, map].map(({ plot }) => plot.el).concat(
      panels.plots.map(({ el }) => el), spectrum.plot.el, panels.shares.el,
    ), // prettier-ignore
    player: play,
    controls,
    handles: [bowl.handle, map.handle, ...spectrum.handles],
    compute: world.compute,
    draw,
    describe: () => describe(world),
    writeLink,
    readLink,
    dispose() {
      for (const plot of [bowl.plot, map.plot, spectrum.plot, ...panels.plots, panels.shares]) plot.dispose();
    },
  });
}

/** What the lines and marks are. @param {HTMLElement} invariant the switch of the invariant set */
function legend(invariant) {
  const pointed = () => svg("path", { d: "M1 7h22m0-4l8 4l-8 4z" });
  const ellipse = svg("path", { d: "M1 7a15 6 0 0 1 30 0a15 6 0 0 1-30 0" });
  return createLegend(
    [
      ["sam", [line(), svg("circle", { cx: 16, cy: 7, r: 4.5 })], "SAM"],
      ["gradient-descent", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "gradient descent"],
      ["ascent", [pointed()], "gradient ∇L"],
      ["eigenvector", [pointed()], "top eigenvector v₁"],
      ["predicted", [svg("path", { d: "M16 1l6 6l-6 6l-6-6z" })], "predicted: ±ηρλ₁/(2 − ηλ₁) v₁"],
      ["worst", [line()], "limiting flow"],
    ],
    html("li", { class: "samlib-entry-invariant" },
      html("label", {}, invariant, sample("invariant", ellipse), "show the invariant set")),
  ); // prettier-ignore
}
