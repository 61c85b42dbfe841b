// Sliders with number fields, switches, buttons and the player.

import { field } from "./format.js";
import { freshId, html, svg } from "./dom.js";
import { reducedMotion } from "./theme.js";

const POSITIONS = 1000;

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
  const [low, high] = range;
  const linear = scale === "linear";
  const round = (/** @type {number} */ v) => (integer ? Math.round(v) : Number(v.toPrecision(3)));
  const toValue = (/** @type {number} */ p) =>
    round(linear ? low + ((high - low) * p) / POSITIONS : low * (high / low) ** (p / POSITIONS));
  const toPosition = (/** @type {number} */ v) => {
    const value = Math.max(v, low);
    const part = linear ? (value - low) / (high - low) : Math.log(value / low) / Math.log(high / low);
    return Math.round(POSITIONS * part);
  };
  const slide = html("input", {
    type: "range", id: `${id}-range`, min: 0, max: POSITIONS, step: 1, "data-control": name,
    oninput: () => onInput(toValue(Number(slide.value))),
  }); // prettier-ignore
  const box = numberField({ label: `${label}, as a number`, name, limits, integer, onInput });
  const el = html(
    "div", { class: "samlib-slider" },
    html("label", { for: `${id}-range` }, label), slide, box.el,
  ); // prettier-ignore
  return {
    el,
    /** @param {number} value */
    show(value) {
      const position = String(Math.min(toPosition(value), POSITIONS));
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

/** The seed after this one; the first after the last. @param {number} seed @param {readonly [number, number]} limits */
export const nextSeed = (seed, [low, high]) => (seed < high ? seed + 1 : low);

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

/**
 * Sliders for traits that are single numbers, and number fields for one that is a list.
 *
 * @param {{config: any, state: Record<string, any>, update: (changes: any) => void}} frame
 * @param {Record<string, {label: string, integer?: boolean, scale?: "log" | "linear"}>} sliders by trait
 * @param {{trait: string, title: string, labels: string[]}} [list]
 */
export function traitControls(frame, sliders, list) {
  const { config, update } = frame;
  const rows = Object.entries(sliders).map(([name, { label, integer, scale }]) => {
    const input = slider({
      label, name, integer, scale, range: config.sliders[name], limits: config.limits[name],
      onInput: (value) => update({ [name]: value }),
    }); // prettier-ignore
    return { el: input.el, show: () => input.show(frame.state[name]) };
  });
  const fields = (list?.labels ?? []).map((label, i) => {
    const trait = /** @type {{trait: string, title: string}} */ (list).trait;
    const name = `${trait}-${i + 1}`;
    const input = labelled(label, numberField({
      name, label: `${list?.title}, ${label}`, limits: config.limits[trait],
      onInput: (/** @type {number} */ value) =>
        update({ [trait]: frame.state[trait].map((/** @type {number} */ v, /** @type {number} */ k) => (k === i ? value : v)) }),
    })); // prettier-ignore
    return { el: input.el, show: () => input.show(frame.state[trait][i]) };
  });
  const el = html("div", { class: "samlib-controls" }, ...rows.map((row) => row.el));
  if (list) {
    el.append(html("div", { class: "samlib-fields" }, html("span", {}, list.title), ...fields.map((f) => f.el)));
  }
  return {
    el,
    /** Show the state as it is now. */
    show() {
      for (const input of [...rows, ...fields]) input.show();
    },
  };
}

/**
 * A row of radio buttons, of which one is on.
 *
 * @param {{legend: string, options: readonly (readonly [string, string])[],
 *   onInput: (value: string) => void}} options value and label of each
 */
export function choice({ legend, options, onInput }) {
  const group = freshId("samlib");
  const inputs = options.map(([value]) =>
    html("input", { type: "radio", name: group, value, onchange: () => onInput(value) }),
  );
  const el = html(
    "fieldset", { class: "samlib-choice" }, html("legend", { class: "samlib-hidden" }, legend),
    ...options.map(([, label], i) => html("label", {}, inputs[i], html("span", {}, label))),
  ); // prettier-ignore
  return {
    el,
    /** @param {string} value */
    show(value) {
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}

/**
 * @param {{label: string, icon?: string, text?: string, onPress: () => void, className?: string}} options
 *   `icon` is the path of a 24 × 24 drawing
 */
export function button({ label, icon, text, onPress, className = "" }) {
  const el = html("button", {
    type: "button", class: `samlib-button ${className}`, onclick: onPress,
    "aria-label": text ? undefined : label, title: label,
  }); // prettier-ignore
  if (icon) {
    el.append(svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: icon })));
  }
  if (text) el.append(text);
  return el;
}

const PLAY = "M7 4.5v15l12.5-7.5z";
const PAUSE = "M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z";
const BACK = "M17 4.5v15L7.5 12zM5 4.5h2.2v15H5z";
const FORWARD = "M7 4.5v15l9.5-7.5zM16.8 4.5H19v15h-2.2z";

/** Seconds that a whole run takes to play. */
const DURATION = 12;

/**
 * Play, pause, step and scrub through the steps of a run. Time runs logarithmically, like the axes: the
 * first steps, where the gradient turns, are as slow to watch as the long drift is quick.
 *
 * @param {{onFrame: (frame: number, settled: boolean) => void, linear?: boolean}} options
 *   `settled` is false for the frames that fly by while playing; with `linear`, all steps are as quick
 */
export function player({ onFrame, linear = false }) {
  const [toClock, fromClock] = linear ? [Number, Number] : [Math.log1p, Math.expm1];
  let keys = [0];
  let frame = 0;
  let steps = 0;
  let timer = 0;

  const back = button({ label: "One step back", icon: BACK, onPress: () => go(frame - 1) });
  const forward = button({ label: "One step forward", icon: FORWARD, onPress: () => go(frame + 1) });
  const toggle = button({ label: "Play", icon: PLAY, onPress: () => (timer ? pause() : play()) });
  toggle.dataset.control = "play";
  const scrub = html("input", {
    type: "range", class: "samlib-scrub", min: 0, max: 0, step: 1, "aria-label": "Step shown",
    "data-control": "frame", oninput: () => go(keys[Number(scrub.value)]),
  }); // prettier-ignore
  const text = html("span", { class: "samlib-time" });
  const el = html("div", { class: "samlib-player" }, back, toggle, forward, scrub, text);

  /** @param {number} next */
  function go(next) {
    pause();
    onFrame(Math.min(Math.max(next, 0), steps), true);
  }
  function pause() {
    if (!timer) return;
    cancelAnimationFrame(timer);
    timer = 0;
    face();
    onFrame(frame, true);
  }
  function play() {
    const began = frame >= steps ? 0 : toClock(frame);
    const whole = toClock(steps);
    let first = 0;
    /** @param {number} now in ms */
    const tick = (now) => {
      first ||= now;
      // With reduced motion: two dozen still pictures instead of a film.
      let elapsed = (now - first) / 1000 / DURATION;
      if (reducedMotion()) elapsed = Math.floor(elapsed * 24) / 24;
      const t = fromClock(Math.min(began + elapsed * whole, whole));
      const next = t >= steps ? steps : keys[position(Math.floor(t + 1e-9))];
      timer = requestAnimationFrame(tick);
      if (next === steps) {
        pause();
        onFrame(steps, true);
      } else if (next !== frame) onFrame(next, false);
    };
    timer = requestAnimationFrame(tick);
    face();
  }
  /** The last key step not after t. @param {number} t */
  function position(t) {
    let low = 0;
    let high = keys.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (keys[middle] <= t) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  function face() {
    const label = timer ? "Pause" : "Play";
    toggle.title = label;
    toggle.setAttribute("aria-label", label);
    toggle.querySelector("path")?.setAttribute("d", timer ? PAUSE : PLAY);
  }

  return {
    el,
    pause,
    dispose: () => cancelAnimationFrame(timer),
    playing: () => timer !== 0,
    /** @param {number} newFrame @param {number[]} newKeys @param {string} said */
    show(newFrame, newKeys, said) {
      frame = newFrame;
      if (keys !== newKeys) {
        keys = newKeys;
        steps = keys[keys.length - 1];
        scrub.max = String(keys.length - 1);
      }
      scrub.value = String(position(frame));
      scrub.setAttribute("aria-valuetext", said);
      text.textContent = said;
      back.disabled = frame <= 0;
      forward.disabled = frame >= steps;
    },
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
