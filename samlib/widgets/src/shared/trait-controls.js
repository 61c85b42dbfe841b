// The sliders and fields of a figure's traits.

import { html } from "./dom.js";
import { labelled, numberField, slider } from "./fields.js";

/**
 * Sliders for traits that are single numbers, and number fields for one that is a list.
 *
 * @param {{config: any, state: Record<string, any>, update: (changes: any) => void}} frame
 * @param {Record<string, {label: string, integer?: boolean, scale?: "log" | "linear"}>} sliders by trait
 * @param {{trait: string, title: string, labels: string[]}} [list]
 * @param {string} [first] the trait whose slider stands by itself
 */
export function traitControls(frame, sliders, list, first) {
  const { config, update } = frame;
  const rows = Object.entries(sliders).map(([name, { label, integer, scale }]) => {
    const input = slider({
      label, name, integer, scale, range: config.sliders[name], limits: config.limits[name],
      onInput: (value) => update({ [name]: value }),
    }); // prettier-ignore
    return { name, el: input.el, show: () => input.show(frame.state[name]) };
  });
  const [main] = rows.filter(({ name }) => name === first);
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
  const el = html("div", { class: "samlib-controls" }, ...rows.filter((row) => row !== main).map((row) => row.el));
  if (list) {
    el.append(html("div", { class: "samlib-fields" }, html("span", {}, list.title), ...fields.map((f) => f.el)));
  }
  return {
    el,
    /** The slider that stands by itself. */
    main: main?.el,
    /** Show the state as it is now. */
    show() {
      for (const input of [...rows, ...fields]) input.show();
    },
  };
}
