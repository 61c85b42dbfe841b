// The controls: ρ beside the picture, everything else among the settings.

import { button, choice } from "../../shared/buttons.js";
import { freshId, html } from "../../shared/dom.js";
import { numberField } from "../../shared/fields.js";
import { traitControls } from "../../shared/trait-controls.js";

/** @typedef {import("./figure.js").View} View */

/** What there is to see, by the presets of Python. @type {Record<string, string>} */
const SIGHTS = {
  saddle: "The saddle takes all", slope: "At rest on a slope", tie: "A tie", half: "A step above one half",
}; // prettier-ignore

/** @type {[import("./ends.js").Task["method"], string][]} */
const METHODS = [["sam", "SAM"], ["gradient_descent", "gradient descent"], ["ascent_loss_descent", "descent on Lᴬˢᶜ"]]; // prettier-ignore

/** @param {View} view */
export function createControls(view) {
  const { config, state, update } = view;
  const rho = traitControls(view, { rho: { label: "Radius ρ", scale: "linear" } }, undefined, "rho");
  const others = traitControls(view, { lr: { label: "Learning rate η" }, steps: { label: "Steps", integer: true } });
  const losses = lossChoice(view);
  const rules = choice({ legend: "Rule", options: METHODS, onInput: (method) => update({ method: /** @type {any} */ (method) }) });
  const fields = [...coordinates(view, "start", 2, "Start"), ...coordinates(view, "across", 2, "Fixed")];
  const formula = formulaField(view);
  const sights = Object.entries(SIGHTS).map(([name, text]) => {
    const el = button({ label: text, text, className: "samlib-small", onPress: () => update(config.named[name]) });
    el.dataset.control = `show-${name}`;
    return el;
  });
  const el = html(
    "div", { class: "samlib-controls samlib-basin-controls" },
    html("div", { class: "samlib-fields" }, losses.el, rules.el), formula.el, others.el,
    html("div", { class: "samlib-fields" }, ...fields.map(({ el }) => el)),
    html("div", { class: "samlib-fields" }, html("span", {}, "Look at"), ...sights),
  ); // prettier-ignore
  return {
    el,
    main: rho.main,
    show() {
      for (const part of [rho, others, losses, formula, ...fields]) part.show();
      rules.show(state.method);
    },
  };
}

/** @param {View} view */
function lossChoice({ config, state, restore, preset }) {
  const id = freshId("samlib");
  const select = html("select", {
    id, "data-control": "loss", onchange: () => restore(preset(select.value)),
  }, ...config.limits.loss.map((/** @type {string} */ name) => html("option", { value: name }, name === "formula" ? "your own formula" : name))); // prettier-ignore
  return {
    el: html("label", { class: "samlib-field", for: id }, html("span", {}, "Loss"), select),
    show: () => (select.value = state.loss),
  };
}

/**
 * Number fields of a trait that is a list.
 *
 * @param {View} view @param {"start" | "across"} trait @param {number} length @param {string} title
 */
function coordinates(view, trait, length, title) {
  return Array.from({ length }, (_, i) => {
    const input = numberField({
      name: `${trait}-${i + 1}`, label: `${title}, ${i + 1}`, limits: view.config.limits[trait],
      onInput: (value) => view.update({ [trait]: view.state[trait].map((v, k) => (k === i ? value : v)) }),
    }); // prettier-ignore
    const text = html("span", { "aria-hidden": "true" });
    const el = html("label", { class: "samlib-field" }, text, input.el);
    return {
      el,
      show() {
        const name = view.world.loss.names[trait === "start" ? i : i + 2];
        el.hidden = name === undefined;
        text.textContent = name === undefined ? "" : `${title} ${name}`;
        input.show(view.state[trait][i]);
      },
    };
  });
}

/** The field for a reader's own loss: what cannot be read stays in it, with the reason, and the map as it was. @param {View} view */
function formulaField(view) {
  const id = freshId("samlib");
  const input = html("input", {
    type: "text", id, autocomplete: "off", spellcheck: "false", "data-control": "formula", "aria-describedby": `${id}-said`,
    onchange: take,
  }); // prettier-ignore
  const said = html("p", { id: `${id}-said`, class: "samlib-basin-problem", role: "status" });
  const el = html("div", { class: "samlib-basin-formula" }, html("label", { for: id }, "L(x, y) ="), input, said);
  let problem = "";
  let shown = "";

  async function take() {
    const text = input.value;
    const found = await view.world.problemOf(text);
    if (text !== input.value) return; // the reader writes on
    problem = found;
    if (problem) view.redraw();
    else view.update({ formula: text });
  }

  return {
    el,
    show() {
      const { loss, formula } = view.state;
      el.hidden = loss !== "formula";
      if (formula !== shown) [input.value, problem] = [formula, ""];
      shown = formula;
      const wrong = problem || view.world.problem;
      input.setAttribute("aria-invalid", String(wrong !== ""));
      if (said.textContent !== wrong) said.textContent = wrong;
    },
  };
}
