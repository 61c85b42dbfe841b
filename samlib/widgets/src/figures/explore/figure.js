// The figure "Explore": what a kernel measures of the reader's own network. Nothing is computed here; without a
// kernel the figure shows what was measured last.

import { button, slider } from "../../shared/controls.js";
import { html, svg } from "../../shared/dom.js";
import { MARKS, NOTIONS, createExplorePlots, withError } from "./plots.js";
import { count, number } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";

/** @typedef {import("../../shared/model.js").Model} Model */
/** @typedef {"worst" | "ascent" | "average"} Notion */

/** @typedef {{rho: number}} State */

/**
 * @typedef {object} Sharpness what is not a finite number is null
 * @property {number | null} value
 * @property {number | null} error
 * @property {number | null} predicted by the quadratic model
 */

/**
 * @typedef {object} Radius what is measured at a ρ, as far as it is
 * @property {number} rho
 * @property {number | null} length of the worst v in the unit ball
 * @property {Sharpness} [worst]
 * @property {Sharpness} [ascent]
 * @property {Sharpness} [average]
 * @property {Partial<Record<"worst" | "ascent" | "random", (number | null)[]>>} profiles from −2ρ to 2ρ
 */

/**
 * @typedef {object} Point what does not depend on ρ
 * @property {number} loss
 * @property {number} gradient its norm
 * @property {(number | null)[]} eigenvalues
 * @property {(number | null)[]} residuals
 * @property {boolean} converged
 * @property {(number | null)[]} cosines
 * @property {number | null} cosine_error
 * @property {number | null} trace
 * @property {number | null} trace_error
 * @property {number[]} radii where the quadratic model is given
 * @property {(number | null)[]} worst
 * @property {(number | null)[]} ascent
 * @property {(number | null)[]} average
 */

/** @typedef {ReturnType<typeof createView>} View */

/** @type {Record<Notion, string>} */
const NAMES = { worst: "worst direction", ascent: "gradient’s direction", average: "average direction" };

/** The traits that only the kernel sets. */
const MEASURED = /** @type {const} */ (["_network", "_point", "_measured", "_current", "_progress", "_message"]);

/** How long a kernel may take to answer before the figure says that it does not, in ms. */
const PATIENCE = 4000;

/**
 * @param {{model: Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderExplore(context) {
  const view = createView(context);
  const plots = createExplorePlots(view);
  const table = createTable(view);
  const progress = createProgress(view);
  const rho = slider({
    label: "Radius ρ", name: "rho", range: view.config.sliders.rho, limits: view.config.limits.rho,
    onInput: (value) => view.pick(value),
  }); // prettier-ignore
  const sweep = button({
    label: "Measure at seven radii", text: "Sweep over ρ", onPress: () => view.kernel.ask("sweep"),
  }); // prettier-ignore
  sweep.dataset.control = "sweep";
  const takeDown = view.mount({
    className: "samlib-explore",
    choices: null,
    hint: "Drag ρ across the sharpnesses: marks are measured, thin lines are the quadratic model’s.",
    legend: legend(),
    stage: [...plots.plots.map((plot) => plot.el), table.el],
    player: { el: progress.el, pause() {}, dispose() {} },
    controls: html("div", { class: "samlib-controls" }, rho.el, html("div", {}, sweep)),
    handles: [plots.handle],
    compute: view.compute,
    draw() {
      const there = view.kernel.state() === "there";
      for (const input of rho.el.querySelectorAll("input")) input.disabled = !there;
      sweep.disabled = !there;
      rho.show(view.state.rho);
      table.draw();
      progress.draw();
      plots.draw();
    },
    describe: () => describe(view),
    ...linksOf(view, { labels: { rho: "ρ" } }),
    dispose: () => plots.plots.forEach((plot) => plot.dispose()),
  });
  const changed = () => {
    view.compute();
    view.redraw();
  };
  for (const name of MEASURED) context.model.on(`change:${name}`, changed);
  view.kernel.ask("hello");
  return () => {
    for (const name of MEASURED) context.model.off(`change:${name}`, changed);
    view.kernel.dispose();
    takeDown();
  };
}

/**
 * The frame with what was measured.
 *
 * @param {{model: Model, el: HTMLElement, linkId?: string}} context
 */
function createView(context) {
  const { model } = context;
  const frame = createFrame(context, /** @type {import("../../shared/frame.js").Options<State>} */ ({ names: ["rho"] }));
  const kernel = createKernel(model, frame.redraw);
  const view = Object.assign(frame, {
    kernel,
    /** @type {{name: string, parameters: number}} */
    network: model.get("_network"),
    /** @type {Point | null} */
    point: null,
    /** @type {Radius[]} in the order of ρ */
    measured: [],
    /** @type {Radius | null} the one being measured */
    current: null,
    progress: { running: false, text: "", part: 0 },
    message: "",
    /** @type {Radius | null} the one in the picture */
    shown: null,
    /** Is it that of another ρ than the one picked? */
    faint: false,
    compute() {
      const point = model.get("_point") ?? {};
      const current = model.get("_current") ?? {};
      view.network = model.get("_network");
      view.point = "loss" in point ? point : null;
      view.measured = model.get("_measured") ?? [];
      view.current = "rho" in current ? current : null;
      view.progress = model.get("_progress") ?? view.progress;
      view.message = model.get("_message") ?? "";
      const { rho } = view.state;
      const here = [...view.measured, ...(view.current ? [view.current] : [])].find((r) => same(r.rho, rho));
      const last = view.shown && view.measured.find((r) => r.rho === view.shown?.rho);
      view.shown = here ?? (kernel.state() === "none" ? nearest(view.measured, rho) : last || nearest(view.measured, rho));
      view.faint = !here;
    },
    /** Choose a ρ; without a kernel, one of those that were measured. @param {number} rho */
    pick(rho) {
      if (kernel.state() === "there") {
        view.update({ rho: Number(rho.toPrecision(3)) });
        kernel.ask("hello");
        return;
      }
      const found = nearest(view.measured, rho);
      if (found) view.update({ rho: found.rho });
    },
    /** Without a kernel the arrow keys go from one measured ρ to the next. @param {string} key */
    step(key) {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (!by || kernel.state() === "there") return false;
      const at = view.measured.findIndex(({ rho }) => rho === nearest(view.measured, view.state.rho)?.rho);
      const next = view.measured[at + by];
      if (next) view.update({ rho: next.rho });
      return true;
    },
  });
  return view;
}

/** @param {number} a @param {number} b */
const same = (a, b) => Math.abs(a - b) <= 1e-9 * b;

/** @param {Radius[]} measured @param {number} rho @returns {Radius | null} */
function nearest(measured, rho) {
  const far = (/** @type {Radius} */ radius) => Math.abs(Math.log(radius.rho / rho));
  return measured.reduce((best, next) => (best && far(best) <= far(next) ? best : next), /** @type {Radius | null} */ (null));
}

/**
 * Is there a kernel? A page's model cannot send. A notebook's can, but only the answer tells that somebody
 * listens: a notebook may be shown long after its kernel has ended.
 *
 * @param {Model} model @param {() => void} onChange
 */
function createKernel(model, onChange) {
  /** @type {"none" | "asked" | "there" | "silent"} */
  let state = model.send ? "asked" : "none";
  let timer = 0;
  /** @param {typeof state} next */
  function turn(next) {
    clearTimeout(timer);
    timer = 0;
    if (state === next) return;
    state = next;
    onChange();
  }
  const answered = () => turn("there");
  if (model.send) model.on("msg:custom", answered);
  return {
    state: () => state,
    /** @param {"hello" | "measure" | "sweep" | "cancel"} wish */
    ask(wish) {
      if (!model.send) return;
      model.send({ wish });
      timer ||= window.setTimeout(() => turn("silent"), PATIENCE);
    },
    dispose() {
      clearTimeout(timer);
      model.off("msg:custom", answered);
    },
  };
}

/** How far the measurement is, and what can be done about it. @param {View} view */
function createProgress(view) {
  const bar = html("progress", { max: 1, value: 0, "aria-label": "Progress of the measurement" });
  const text = html("span", { class: "samlib-stage-text" });
  const act = button({
    label: "Cancel", text: "Cancel", onPress: () => view.kernel.ask(view.progress.running ? "cancel" : "measure"),
  }); // prettier-ignore
  act.dataset.control = "cancel";
  const error = html("p", { class: "samlib-error", role: "alert" });
  const el = html("div", { class: "samlib-progress" }, bar, text, act, error);

  const said = () => {
    const { progress, point } = view;
    switch (view.kernel.state()) {
      case "none": return "Measured by a kernel; this page shows what it measured last.";
      case "silent": return "The kernel does not answer: it is busy, or has ended. What it measured last is shown.";
      case "asked": return "Waiting for the kernel.";
      default: return progress.running ? progress.text : !view.faint ? "Measured." : point ? "Not measured at this ρ." : "Not measured.";
    } // prettier-ignore
  };
  return {
    el,
    draw() {
      const there = view.kernel.state() === "there";
      const { running, part } = view.progress;
      bar.value = running ? part : view.faint ? 0 : 1;
      bar.hidden = view.kernel.state() === "none";
      act.hidden = bar.hidden;
      act.disabled = !there || (!running && !view.faint);
      const label = running || !view.faint ? "Cancel" : "Measure";
      if (act.textContent !== label) {
        act.textContent = act.title = label;
      }
      text.textContent = said();
      error.hidden = view.message === "";
      if (error.textContent !== view.message) error.textContent = view.message;
    },
  };
}

/** The numbers, each with its error. @param {View} view */
function createTable(view) {
  const where = html("span");
  const facts = html("span", { class: "samlib-aside" });
  const cells = NOTIONS.map(() => ["td", "td", "td"].map(() => html("td")));
  const head = ["", "L rises by", "error", "to second order"].map((text) =>
    text ? html("th", { scope: "col" }, text) : html("td"),
  );
  const el = html(
    "table", { class: "samlib-numbers" }, html("caption", {}, where, facts),
    html("thead", {}, html("tr", {}, ...head)),
    html("tbody", {}, ...NOTIONS.map((notion, i) =>
      html("tr", {}, html("th", { scope: "row" }, NAMES[notion]), ...cells[i]),
    )),
  ); // prettier-ignore
  return {
    el,
    draw() {
      const { shown, point, faint } = view;
      const of = (/** @type {number | null | undefined} */ v, digits = 3) => (v == null ? "–" : number(v, digits));
      where.textContent = shown ? `At ρ = ${number(shown.rho)}` : "Sharpness";
      facts.textContent = point
        ? ` L(x) = ${number(point.loss)}, ‖∇L‖ = ${number(point.gradient)}, Tr ∇²L = ${withError(point.trace, point.trace_error)}`
        : "";
      el.classList.toggle("samlib-faint", faint);
      const spread = point?.trace ? Math.abs((point.trace_error ?? 0) / point.trace) : 0;
      NOTIONS.forEach((notion, i) => {
        const { value, error, predicted } = shown?.[notion] ?? {};
        const exact = notion === "ascent";
        const least = notion === "worst" && value != null ? "at least " : "";
        const off = notion === "average" && predicted && spread ? ` ± ${number(predicted * spread, 1)}` : "";
        const texts = [
          least + of(value),
          value == null ? "–" : exact ? "rounding" : notion === "worst" ? `slope left: ${of(error, 1)}` : `± ${of(error, 1)}`,
          of(predicted) + off,
        ];
        texts.forEach((text, k) => {
          if (cells[i][k].textContent !== text) cells[i][k].textContent = text;
        });
      });
    },
  };
}

/** One sentence that says what is shown; Python's `sentence` says the same. @param {View} view */
function describe({ network, point, shown }) {
  const what = `${network.name} with ${count(network.parameters)} parameters`;
  const { worst, ascent, average } = shown ?? {};
  if (!shown || !point || worst?.value == null || ascent?.value == null || average?.value == null) {
    return `${what}: ${point ? `L = ${number(point.loss)}; the sharpness is not measured yet` : "nothing is measured yet"}.`;
  }
  const [cosine] = point.cosines;
  const turn =
    cosine == null
      ? "the gradient is zero"
      : `the gradient is ${number((Math.acos(Math.min(cosine, 1)) * 180) / Math.PI)}° from v₁ (cosine ${number(cosine)})`;
  const top = point.eigenvalues[0] ?? NaN;
  return (
    `${what}, L = ${number(point.loss)}: within ρ = ${number(shown.rho)}, L rises by at least ${number(worst.value)} in ` +
    `the worst direction found, by ${number(ascent.value)} along the gradient and by ${number(average.value)} ± ` +
    `${number(average.error ?? 0, 1)} on average over all directions; λ₁ = ${number(top)}${point.converged ? "" : " (not settled)"}, and ${turn}.`
  );
}

/** What the lines and marks are. */
function legend() {
  return createLegend([
    ...NOTIONS.map((notion) => /** @type {import("../../shared/legend.js").Entry} */ ([
      `explored-${notion}`, [line(), svg("path", { d: MARKS[notion], transform: "translate(16 7)" })],
      `${NAMES[notion]}, ${{ worst: "Rᴹᵃˣ", ascent: "Rᴬˢᶜ", average: "Rᴬᵛᵍ" }[notion]}`,
    ])),
    ["explored-random", [line()], "one random direction"],
    ["explored-model", [svg("path", { d: "M1 11L31 3" })], "thin: to second order"],
  ]); // prettier-ignore
}
