// The figure "Alignment": under SAM the gradient turns towards the top eigenvector of the Hessian.
//
// The data flows one way: state → runs → samples (world.js) → pictures (bowl.js, map.js, panels.js). A
// change of ρ, η, the spectrum or the start recomputes all of it; a change of the frame only redraws.

import { createBowl } from "./bowl.js";
import { button, choice, numberField, player, slider } from "./controls.js";
import { html, svg } from "./dom.js";
import { count, subscript } from "./format.js";
import { captureKeys } from "./keyboard.js";
import { createMap } from "./map.js";
import { createPanels } from "./panels.js";
import { decode, encode, readNumber, readNumbers } from "./permalink.js";
import { onThemeChange, palette } from "./theme.js";
import { createWorld, describe } from "./world.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./world.js").State} State */
/** @typedef {import("./world.js").Config} Config */

/** @type {(keyof State)[]} */
const NAMES = ["landscape", "eigenvalues", "start", "rho", "lr", "steps", "frame", "zoom"];

const LANDSCAPES = /** @type {const} */ ([
  ["quadratic", "Quadratic"],
  ["four-dimensional", "Four-dimensional loss"],
]);

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

  let stale = true;
  let pending = 0;
  let saved = 0;
  let speech = 0;

  // ── The parts ────────────────────────────────────────────────────────────────────────────────────

  /** @type {import("./view.js").View} */
  const view = {
    world,
    config,
    colours: palette(el),
    dragging: false,
    redraw: () => schedule(false),
    pause: () => play.pause(),
    update: (changes) => update(changes),
  };
  const bowl = createBowl(view);
  const map = createMap(view);
  const panels = createPanels(view);
  const handles = [bowl.handle, map.handle];
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
    html("p", { class: "samlib-hint" },
      "Drag the start, move a slider, press play, or drag across a panel to go through time."),
    legend(),
    html("div", { class: "samlib-stage" }, bowl.plot.el, map.plot.el, ...panels.plots.map((p) => p.el)),
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
    stale ||= runs;
    pending ||= requestAnimationFrame(draw);
  }

  function draw() {
    pending = 0;
    performance.mark("samlib:begin");
    if (stale) world.compute();
    stale = false;
    // A notebook renders into an element that is not in the document yet and has no style.
    if (!view.colours.ink) view.colours = palette(el);
    const { state, sam, descent, dim } = world;
    world.at.look(sam.x, state.frame * dim);
    world.descentAt.look(descent.x, state.frame * dim);
    root.dataset.landscape = state.landscape;
    buildControls();
    showControls();
    bowl.draw();
    map.draw();
    panels.draw();
    const sentence = describe(world);
    if (sight.textContent !== sentence) {
      sight.textContent = sentence;
      // Read aloud when the reader has come to rest, not at every step of a drag.
      clearTimeout(speech);
      speech = window.setTimeout(() => (voice.textContent = sentence), 500);
    }
    // For benchmarks/widgets.py; only the last one is kept.
    performance.clearMeasures("samlib:draw");
    performance.measure("samlib:draw", "samlib:begin");
    performance.clearMarks("samlib:begin");
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
  }

  // ── Life ─────────────────────────────────────────────────────────────────────────────────────────

  const stopKeys = captureKeys(root, (event) => {
    const target = handles.find(({ group }) => group === event.target);
    return target ? target.key(event) : false;
  });
  const stopTheme = onThemeChange(() => {
    view.colours = palette(el);
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
    for (const plot of [bowl.plot, map.plot, ...panels.plots]) plot.dispose();
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
