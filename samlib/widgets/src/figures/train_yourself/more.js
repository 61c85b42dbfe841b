// The settings: both methods, and what is learned.

import { button } from "../../shared/buttons.js";
import { freshId, html } from "../../shared/dom.js";
import { labelled, nextSeed, numberField, slider } from "../../shared/fields.js";
import { IN_BATCHES, METHODS } from "./methods.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {{el: HTMLElement, show: () => void}} Control */
/** @typedef {{integer?: boolean, scale?: "linear" | "log", idle?: (state: import("./figure.js").State) => boolean}} How idle: does it change nothing as things are? */

/** @param {View} view */
export function createMore(view) {
  const moving = [
    picked(view, "first", "First run", Object.entries(METHODS)),
    picked(view, "second", "Second run", Object.entries(METHODS)),
    numbered(view, "lr", "Learning rate η"),
    numbered(view, "batch", "Batch m", { integer: true, idle: ({ first, second }) => !IN_BATCHES.has(first) && !IN_BATCHES.has(second) }),
  ];
  const learned = [
    numbered(view, "rows", "Training rows", { integer: true }),
    numbered(view, "shuffled", "Shuffled labels", { scale: "linear" }),
    picked(view, "network", "Network", [["perceptron", "perceptron"], ["convolutional", "convolutional"]]),
    numbered(view, "width", "Its width", { integer: true, idle: ({ network }) => network !== "perceptron" }),
    picked(view, "loss", "Loss", [["squared", "squared error"], ["cross-entropy", "cross-entropy"]]),
    picked(view, "precision", "Arithmetic", [["float32", "fast, float32"], ["float64", "exact, float64"]]),
    seeded(view),
    moved(view),
  ]; // prettier-ignore
  const el = html(
    "div", { class: "samlib-train-more" },
    html("p", { class: "samlib-hint" }, "May be moved while they train"), grid(moving),
    html("p", { class: "samlib-hint" }, "Begins anew"), grid(learned),
  ); // prettier-ignore
  return {
    el,
    show() {
      for (const control of [...moving, ...learned]) control.show();
    },
  };
}

/** @param {Control[]} controls */
const grid = (controls) => html("div", { class: "samlib-controls" }, ...controls.map(({ el }) => el));

/** @param {View} view @param {"lr" | "batch" | "rows" | "shuffled" | "width"} name @param {string} label @param {How} [how] @returns {Control} */
function numbered(view, name, label, { idle = () => false, ...how } = {}) {
  const { sliders, limits } = view.config;
  const input = slider({
    label, name, range: sliders[name], limits: limits[name], ...how, onInput: (value) => view.update({ [name]: value }),
  }); // prettier-ignore
  const inputs = input.el.querySelectorAll("input");
  return {
    el: input.el,
    show() {
      input.show(view.state[name]);
      for (const each of inputs) each.disabled = idle(view.state);
    },
  };
}

/** @param {View} view @param {"first" | "second" | "network" | "loss" | "precision"} name @param {string} label @param {(readonly [string, string])[]} options @returns {Control} */
function picked(view, name, label, options) {
  const id = freshId("samlib-train");
  const select = html(
    "select", { id, "data-control": name, onchange: () => view.update({ [name]: select.value }) },
    ...options.map(([value, text]) => html("option", { value }, text)),
  ); // prettier-ignore
  return {
    el: html("div", { class: "samlib-train-pick" }, html("label", { for: id }, label), select),
    show() {
      if (select.value !== view.state[name]) select.value = view.state[name];
    },
  };
}

/** @param {View} view @returns {Control} */
function seeded(view) {
  const { limits } = view.config;
  const field = labelled("Seed", numberField({
    label: "Seed of weights, shuffled labels and batches", name: "seed", limits: limits.seed, integer: true,
    onInput: (seed) => view.update({ seed }),
  })); // prettier-ignore
  const next = button({
    label: "Another seed", text: "another", className: "samlib-small",
    onPress: () => view.update({ seed: nextSeed(view.state.seed, limits.seed) }),
  }); // prettier-ignore
  return { el: html("div", { class: "samlib-train-pick" }, field.el, next), show: () => field.show(view.state.seed) };
}

/** When ρ moves by itself. @param {View} view @returns {Control} */
function moved(view) {
  const { limits } = view.config;
  const at = labelled("ρ moves at step", numberField({
    label: "Step at which ρ moves by itself, 0 for never", name: "switch_step", limits: limits.switch_step, integer: true,
    onInput: (switch_step) => view.update({ switch_step }),
  })); // prettier-ignore
  const to = labelled("to", numberField({
    label: "The radius ρ to which it moves", name: "switch_rho", limits: limits.switch_rho,
    onInput: (switch_rho) => view.update({ switch_rho }),
  })); // prettier-ignore
  return {
    el: html("div", { class: "samlib-train-pick" }, at.el, to.el),
    show() {
      at.show(view.state.switch_step);
      to.show(view.state.switch_rho);
    },
  };
}
