// Sliders with number fields, for one number each.

import { freshId, html } from "./dom.js";
import { field } from "./format.js";
import { answerKeys } from "./keyboard.js";
import { createScale } from "./slider-scale.js";

/**
 * A slider with a number field beside it, both labelled.
 *
 * @param {{label: string, name: string, range: readonly [number, number],
 *   limits: readonly [number, number], integer?: boolean, scale?: "log" | "linear",
 *   onInput: (value: number) => void}} options
 *   `range` is what the slider covers, on a logarithmic scale unless told otherwise; `limits` what the
 *   field accepts
 */
export function slider({ label, name, range, limits, integer = false, scale = "log", onInput }) {
  const id = freshId("samlib");
  const along = createScale({ range, integer, linear: scale === "linear" });
  let shown = range[0];
  const slide = html("input", {
    type: "range", id: `${id}-range`, min: 0, max: along.positions, step: 1, "data-control": name,
    oninput: () => onInput(along.value(Number(slide.value))),
  }); // prettier-ignore
  answerKeys(slide, ({ key }) => {
    const value = along.after(shown, key);
    if (value === undefined) return false;
    if (value === shown) return true;
    shown = value; // the next key may come before this one is drawn
    onInput(value);
    return true;
  });
  const box = numberField({ label: `${label}, as a number`, name, limits, integer, onInput });
  const el = html(
    "div", { class: "samlib-slider" },
    html("label", { for: `${id}-range` }, label), slide, box.el,
  ); // prettier-ignore
  return {
    el,
    /** @param {number} value */
    show(value) {
      shown = value;
      const position = String(along.position(value));
      if (slide.value !== position) slide.value = position;
      slide.setAttribute("aria-valuetext", field(value));
      box.show(value);
    },
  };
}

/**
 * A number field that refuses what is outside its limits and says what is allowed.
 *
 * @param {{label: string, name: string, limits: readonly [number, number], integer?: boolean,
 *   snap?: (value: number) => number, onInput: (value: number) => void}} options
 *   `snap` moves what was typed to a value that there is
 */
export function numberField({ label, name, limits, integer = false, snap, onInput }) {
  const [low, high] = limits;
  let shown = "";
  const input = html("input", {
    type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false",
    "aria-label": label, "data-field": name,
    onchange: () => {
      const text = input.value.trim().replace("−", "-");
      const value = text === "" ? NaN : Number(text);
      const good = value >= low && value <= high && (!integer || Number.isInteger(value));
      const whole = integer ? "a whole number" : "a number";
      input.setCustomValidity(good ? "" : `${whole} from ${low} to ${high}, please`);
      input.setAttribute("aria-invalid", String(!good));
      if (good && snap) input.value = field(snap(value));
      if (good) onInput(snap?.(value) ?? value);
      else input.reportValidity();
    },
    onblur: () => {
      if (input.getAttribute("aria-invalid") !== "true") return;
      input.setCustomValidity("");
      input.setAttribute("aria-invalid", "false");
      input.value = shown;
    },
  }); // prettier-ignore
  return {
    el: input,
    /** @param {number} value */
    show(value) {
      const text = field(value);
      if (text === shown && input.getAttribute("aria-invalid") !== "true") {
        if (input.ownerDocument.activeElement !== input) input.value = text;
        return;
      }
      shown = text;
      input.value = text;
    },
  };
}

/**
 * A small label before an input.
 *
 * @template V
 * @param {string} text @param {{el: HTMLElement, show: (value: V) => void}} input
 */
export function labelled(text, input) {
  return {
    el: html("label", { class: "samlib-field" }, html("span", { "aria-hidden": "true" }, text), input.el),
    show: input.show,
  };
}

/** The value nearest to v. @param {number[]} values @param {number} v */
export const nearest = (values, v) => values.reduce((a, b) => (Math.abs(b - v) < Math.abs(a - v) ? b : a));

/**
 * A slider that stops at these values only, with a number field that snaps to them.
 *
 * @param {{label: string, name: string, values: number[], onInput: (value: number) => void}} options
 */
export function stops({ label, name, values, onInput }) {
  const id = freshId("samlib");
  const slide = html("input", {
    type: "range", id, min: 0, max: values.length - 1, step: 1, "data-control": name,
    oninput: () => onInput(values[Number(slide.value)]),
  }); // prettier-ignore
  const box = numberField({
    label: `${label}, as a number`, name, limits: [values[0], values[values.length - 1]],
    snap: (value) => nearest(values, value), onInput,
  }); // prettier-ignore
  return {
    el: html("div", { class: "samlib-slider" }, html("label", { for: id }, label), slide, box.el),
    /** @param {number} value */
    show(value) {
      slide.value = String(values.indexOf(value));
      slide.setAttribute("aria-valuetext", field(value));
      box.show(value);
    },
  };
}

/** The seed after this one; the first after the last. @param {number} seed @param {readonly [number, number]} limits */
export const nextSeed = (seed, [low, high]) => (seed < high ? seed + 1 : low);
