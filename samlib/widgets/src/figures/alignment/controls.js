// The sliders of the figure "Alignment", and the table of numbers with a column for each coordinate.

import { html, svg } from "../../shared/dom.js";
import { numberField, slider } from "../../shared/fields.js";
import { subscript } from "../../shared/format.js";
import { sample } from "../../shared/legend.js";

/** @typedef {import("./world.js").State} State */

/** What follows the smallest eigenvalue where the dimension grows: 1 leads to 0.1 in eight steps. */
const NEXT = 0.75;

/** @typedef {Record<string, {el: HTMLElement, show: (value: any) => void}>} Inputs */

/** @param {import("./view.js").View} view */
export function createControls(view) {
  const { world } = view;
  const el = html("div", { class: "samlib-controls" });
  const main = html("div");
  const invariant = invariantSwitch(view);
  /** @type {Inputs} */
  let sliders = {};
  /** @type {Inputs} */
  let fields = {};
  let built = { landscape: "", dim: 0 };

  /** The sliders depend on the loss, the table of numbers on its dimension, too. */
  function build() {
    const { state, dim } = world;
    if (state.landscape === built.landscape && dim === built.dim) return;
    const table = buildTable(view);
    if (state.landscape !== built.landscape) {
      sliders = buildSliders(view);
      const { rho, ...others } = sliders;
      main.replaceChildren(rho.el);
      el.replaceChildren(...Object.values(others).map((input) => input.el), table.el, invariant.el);
    } else el.querySelector(".samlib-table")?.replaceWith(table.el);
    fields = table.fields;
    built = { landscape: state.landscape, dim };
  }

  return {
    el,
    /** Where the slider of ρ stands. */
    main,
    /** Show the state as it is now. */
    show() {
      build();
      const { state, dim } = world;
      invariant.show(state.invariant);
      sliders.rho.show(state.rho);
      sliders.lr.show(state.lr);
      sliders.steps.show(state.steps);
      state.start.forEach((value, i) => fields[`start-${i + 1}`].show(value));
      if (!world.flat) return;
      sliders.dimension.show(dim);
      state.eigenvalues.forEach((value, i) => fields[`eigenvalue-${i + 1}`].show(value));
    },
  };
}

/** @param {import("./view.js").View} view */
function invariantSwitch(view) {
  const input = html("input", {
    type: "checkbox", "data-control": "invariant",
    onchange: () => view.update({ invariant: input.checked }),
  }); // prettier-ignore
  const ellipse = svg("path", { d: "M1 7a15 6 0 0 1 30 0a15 6 0 0 1-30 0" });
  return {
    el: html("label", { class: "samlib-switch" }, input, sample("invariant", ellipse), "show the invariant set"),
    show: (/** @type {boolean} */ shown) => (input.checked = shown),
  };
}

/** @param {import("./view.js").View} view @returns {Inputs} */
function buildSliders({ world, config, update }) {
  const ranges = config.sliders[world.state.landscape];
  const make = (/** @type {string} */ name, /** @type {string} */ label, integer = false) =>
    slider({
      label, name, integer, range: ranges[name], limits: config.limits[name],
      onInput: (value) => update({ [name]: value }),
    }); // prettier-ignore
  return {
    rho: make("rho", "Radius ρ"),
    lr: make("lr", "Learning rate η"),
    ...(world.flat && {
      dimension: slider({
        label: "Dimension D", name: "dimension", integer: true, scale: "linear",
        range: ranges.dimension, limits: ranges.dimension,
        onInput: (dim) => update(resized(world.state, dim)),
      }), // prettier-ignore
    }),
    steps: make("steps", "Steps", true),
  };
}

/** A column for each coordinate. @param {import("./view.js").View} view */
function buildTable({ world, config, update }) {
  const { dim, flat } = world;
  /** @type {Inputs} */
  const fields = {};
  const columns = Array.from({ length: dim }, (_, i) => `x${subscript(i + 1)}`);
  const title = (/** @type {string} */ text) => html("span", { "aria-hidden": "true" }, text);
  /** @param {string} stem @param {"eigenvalues" | "start"} trait @param {string} label */
  const row = (stem, trait, label) =>
    columns.map((column, i) => {
      const name = `${stem}-${i + 1}`;
      fields[name] = numberField({
        name, label: `${label} ${column}`, limits: config.limits[trait],
        onInput: (value) => update({ [trait]: world.state[trait].map((v, k) => (k === i ? value : v)) }),
      }); // prettier-ignore
      return fields[name].el;
    });
  const el = html(
    "div", { class: "samlib-table" }, title(""), ...columns.map(title),
    ...(flat ? [title("λ"), ...row("eigenvalue", "eigenvalues", "λ along")] : []),
    title("Start"), ...row("start", "start", "Start,"),
  ); // prettier-ignore
  el.style.setProperty("--samlib-dimension", String(dim));
  return { el, fields };
}

/**
 * The spectrum and the start in another dimension: cut, or continued.
 *
 * @param {State} state @param {number} dim
 */
function resized({ eigenvalues, start }, dim) {
  const spectrum = eigenvalues.slice(0, dim);
  while (spectrum.length < dim) spectrum.push(Number((NEXT * Math.min(...spectrum)).toPrecision(3)));
  return { eigenvalues: spectrum, start: spectrum.map((_, i) => start[Math.min(i, start.length - 1)]) };
}
