// The quadratic in its eigen-coordinates: the eigenvalues as stems to drag, and under each the share of the
// gradient that points along its eigenvector.

import { scaleLinear, scaleLog } from "d3-scale";
import { numberField } from "../../shared/controls.js";
import { freshId, html, svg } from "../../shared/dom.js";
import { decade, number, subscript } from "../../shared/format.js";
import { createLabels, createPlot } from "../../shared/plot.js";
import { square } from "./runs.js";

/** Pixels: the height of the shares, and what is between them and the stems. */
const SHARES = 56;
const GAP = 27;

/** Room above the highest stem for its label. */
const HEADROOM = 18;

/** What follows the smallest eigenvalue where the dimension grows: 1 leads to 0.1 in eight steps. */
const NEXT = 0.75;

/** By how much a key changes an eigenvalue. @type {Record<string, number>} */
const KEYS = {
  ArrowUp: 1.05, ArrowRight: 1.05, ArrowDown: 1 / 1.05, ArrowLeft: 1 / 1.05, PageUp: 2, PageDown: 0.5,
}; // prettier-ignore

/**
 * The spectrum and the start in another dimension: cut, or continued.
 *
 * @param {import("./world.js").State} state @param {number} dim
 */
export function resized({ eigenvalues, start }, dim) {
  const spectrum = eigenvalues.slice(0, dim);
  while (spectrum.length < dim) spectrum.push(Number((NEXT * Math.min(...spectrum)).toPrecision(3)));
  return { eigenvalues: spectrum, start: spectrum.map((_, i) => start[Math.min(i, start.length - 1)]) };
}

/**
 * A slider and a number field for D.
 *
 * @param {readonly [number, number]} limits @param {(dim: number) => void} onInput
 */
export function dimensionControl([low, high], onInput) {
  const id = freshId("samlib");
  const name = "dimension";
  const slide = html("input", {
    type: "range", id, min: low, max: high, step: 1, "data-control": name,
    oninput: () => onInput(Number(slide.value)),
  }); // prettier-ignore
  const limits = /** @type {const} */ ([low, high]);
  const box = numberField({ label: "Dimension D, as a number", name, limits, integer: true, onInput });
  return {
    el: html("div", { class: "samlib-slider" }, html("label", { for: id }, "Dimension D"), slide, box.el),
    /** @param {number} dim */
    show(dim) {
      slide.value = String(dim);
      box.show(dim);
    },
  };
}

/** @param {import("./view.js").View} view */
export function createSpectrum(view) {
  const { world, config } = view;
  const { eigenvalues: range, dimension } = config.sliders.quadratic;
  const plot = createPlot({
    className: "samlib-spectrum",
    margin: { left: 46, right: 6, top: 4, bottom: 24 },
    onResize: view.redraw,
  });
  plot.name("The eigenvalues λ: drag them", "", "");
  const stems = Array.from({ length: dimension[1] }, (_, i) => createStem(i));
  const labels = createLabels(plot, ["v₁", "share", "1", "0"]);
  const { context } = plot;
  let domain = range;
  let y = scaleLog(domain, [1, 0]);

  /** @param {number} i @param {number} value */
  function set(i, value) {
    const [low, high] = config.limits.eigenvalues;
    const next = Number(Math.min(Math.max(value, low), high).toPrecision(3));
    view.update({ eigenvalues: world.state.eigenvalues.map((v, k) => (k === i ? next : v)) });
  }

  /** The stem of one eigenvalue. @param {number} i */
  function createStem(i) {
    const line = svg("line", { class: "samlib-stem" });
    const touch = svg("circle", { class: "samlib-touch" });
    const knob = svg("circle", { class: "samlib-ring", r: 6.5 });
    const group = svg(
      "g",
      {
        class: "samlib-handle", tabindex: 0, role: "slider", "aria-orientation": "vertical",
        "aria-label": `Eigenvalue λ along x${subscript(i + 1)}; the arrow keys change it`,
        "aria-valuemin": config.limits.eigenvalues[0], "aria-valuemax": config.limits.eigenvalues[1],
        "aria-valuenow": 1, "data-control": `eigenvalue-${i + 1}`,
        onpointerdown: (/** @type {PointerEvent} */ event) => {
          event.preventDefault();
          group.focus({ preventScroll: true });
          group.setPointerCapture(event.pointerId);
          view.pause();
          view.dragging = true;
        },
        // Chromium does not heed touch-action on a part of an SVG, and would scroll.
        ontouchstart: (/** @type {TouchEvent} */ event) => event.preventDefault(),
        onpointermove: (/** @type {PointerEvent} */ event) => {
          if (!group.hasPointerCapture(event.pointerId)) return;
          const [bottom, top] = y.range();
          const at = event.clientY - plot.svg.getBoundingClientRect().top;
          set(i, y.invert(Math.min(Math.max(at, top), bottom)));
        },
        onlostpointercapture: () => {
          view.dragging = false;
          view.redraw();
        },
        onfocus: () => point(i), onblur: () => point(-1),
        onpointerenter: () => point(i), onpointerleave: () => point(-1),
      },
      line, touch, knob,
    ); // prettier-ignore
    plot.marks.append(group);
    return {
      group,
      /** @param {number} x @param {number} base @param {number} column @param {boolean} top */
      show(x, base, column, top) {
        const value = world.state.eigenvalues[i];
        const at = y(value);
        group.classList.toggle("samlib-top", top);
        group.setAttribute("transform", `translate(${x.toFixed(2)},${at.toFixed(2)})`);
        group.setAttribute("aria-valuenow", String(value));
        group.setAttribute("aria-valuetext", number(value));
        line.setAttribute("y2", (base - at).toFixed(2));
        touch.setAttribute("r", String(Math.min(22, Math.max(12, column / 2))));
      },
      /** @param {KeyboardEvent} event */
      key(event) {
        const factor = KEYS[event.key];
        if (!factor) return false;
        const value = world.state.eigenvalues[i];
        set(i, value * (event.shiftKey ? factor ** 4 : factor));
        return true;
      },
    };
  }

  /** Its line over time stands out. @param {number} i */
  function point(i) {
    if (view.dragging || i === world.pointed) return;
    world.pointed = i;
    view.redraw();
  }

  function draw() {
    const { box } = plot;
    const { state, flat, dim, plane } = world;
    stems.forEach(({ group }, i) => group.toggleAttribute("hidden", !flat || i >= dim));
    if (!flat || box.right <= box.left) return;
    const { colours } = view;
    plot.clear();

    // A decade more where an eigenvalue does not fit.
    const low = Math.min(...state.eigenvalues);
    const high = Math.max(...state.eigenvalues);
    if (!view.dragging) {
      domain = [
        low < range[0] ? 10 ** Math.floor(Math.log10(low)) : range[0],
        high > range[1] ? 10 ** Math.ceil(Math.log10(high)) : range[1],
      ];
    }
    const base = box.bottom - SHARES - GAP;
    y = scaleLog(domain, [base, box.top + HEADROOM]);
    const x = scaleLinear([0.5, dim + 0.5], [box.left, box.right]);
    const column = (box.right - box.left) / dim;
    const height = scaleLinear([0, 1], [box.bottom, box.bottom - SHARES]);

    /** @type {number[]} */
    const yTicks = [];
    const decades = Math.round(Math.log10(domain[1] / domain[0]));
    for (let k = 0; k <= decades; k += Math.ceil(decades / 4)) yTicks.push(domain[0] * 10 ** k);
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    for (const at of [...yTicks.map((tick) => y(tick)), height(0.5), height(1)]) {
      context.moveTo(box.left, Math.round(at) + 0.5);
      context.lineTo(box.right, Math.round(at) + 0.5);
    }
    context.stroke();

    const bar = Math.min(0.5 * column, 40);
    world.share(world.at.gradient).forEach((part, i) => {
      context.fillStyle = colours.sam;
      const at = height(Number.isNaN(part) ? 0 : part);
      context.fillRect(x(i + 1) - bar / 2, at, bar, box.bottom - at);
    });
    world.share(world.descentAt.gradient).forEach((part, i) => {
      if (!Number.isNaN(part)) square(context, x(i + 1), Math.min(height(part), box.bottom - 5), colours);
    });

    const top = state.eigenvalues[plane[0]] >= state.eigenvalues[plane[1]] ? plane[0] : plane[1];
    for (let i = 0; i < dim; i++) stems[i].show(x(i + 1), base, column, i === top);
    labels.put("v₁", x(top + 1), y(high) - 11, "v₁", "middle");
    labels.put("share", box.left + 4, base + GAP - 8, "share of ‖∇L‖² along each eigenvector", "start");
    labels.put("1", box.left - 8, height(1) + 4, "1", "end");
    labels.put("0", box.left - 8, height(0) + 4, "0", "end");
    const xTicks = Array.from({ length: dim }, (_, i) => i + 1);
    plot.axes(x, y, { xTicks, yTicks, xFormat: (i) => `x${subscript(i)}`, yFormat: decade });
  }

  return { plot, handles: stems, draw };
}
