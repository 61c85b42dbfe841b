// The figure "TrainYourself": a network that learns to read digits in the page, by two methods side by side.
//
// The data flows one way: state → session (session.js, which asks the engine in src/training) → looks (history.js) →
// pictures. The engine is loaded when the figure comes into view, and by no other page.

import { constants } from "../../schema.js";
import { choice } from "../../shared/buttons.js";
import { html } from "../../shared/dom.js";
import { createFrame } from "../../shared/frame.js";
import { linksOf } from "../../shared/permalink.js";
import { courseOf } from "./course.js";
import { describe } from "./describe.js";
import { createDigits } from "./digits.js";
import { lastStep } from "./lines.js";
import { loaderFor } from "./loading.js";
import { createMore } from "./more.js";
import { createPanels } from "./panels.js";
import { createPicture } from "./picture.js";
import { pythonOf } from "./python.js";
import { createSession } from "./session.js";
import { tableOf } from "./table.js";
import { createTransport } from "./transport.js";
import { watchFor } from "./watching.js";

/** @typedef {import("./methods.js").Method} Method */

/**
 * @typedef {object} State
 * @property {number} rho @property {number} lr
 * @property {Method} first @property {Method} second
 * @property {number} batch @property {number} rows @property {number} shuffled
 * @property {"perceptron" | "convolutional"} network @property {number} width
 * @property {"squared" | "cross-entropy"} loss
 * @property {number} seed
 * @property {"float32" | "float64"} precision
 * @property {readonly string[]} panels
 * @property {number} switch_step @property {number} switch_rho
 */

/** @typedef {import("../../shared/frame.js").Frame<State> & ReturnType<typeof partsOf>} View */

/** What may move while it trains. @type {(keyof State)[]} */
const MOVING = ["rho", "lr", "first", "second", "batch", "switch_step", "switch_rho"];

/** What messages about a link call a trait. */
const LABELS = { rho: "ρ", lr: "η", switch_step: "the step at which ρ moves", switch_rho: "the ρ to which it moves" };

/** What a reader calls the states that have a name. @type {[string, string][]} */
const PRESETS = [["edge", "Edge"], ["memorize", "Nonsense"], ["switch", "Who moves first?"]]; // prettier-ignore

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderTrainYourself(context) {
  /** @type {import("../../shared/frame.js").Frame<State>} */
  const frame = createFrame(context, { redrawOnly: MOVING, panelsMatter: true });
  const watch = watchFor(frame.root);
  /** @type {View} */
  const view = Object.assign(frame, partsOf(frame, context.model, watch.turn));
  const { session } = view;
  const presets = choice({
    legend: "What to try", options: PRESETS, onInput: (name) => show(frame, name),
  }); // prettier-ignore
  const pictures = [createPicture(view)];
  const digits = [createDigits(view, 0), createDigits(view, 1)];
  const panels = createPanels(view);
  const transport = createTransport(view);
  const more = createMore(view);
  const { writeLink, readLink } = links(view);
  const say = sparingly(() => describe(view), () => session.now.playing);
  watch.once(() => session.prepare());
  return frame.mount({
    className: "samlib-train",
    choices: presets.el,
    hint: "Press play, and move ρ while they train.",
    legend: html("span", { hidden: true }),
    stage: [...pictures.map(({ plot }) => plot.el), ...digits.map(({ el }) => el)],
    main: transport.el,
    panels: panels.panels,
    // The frame stops a film before it shows another state: here training begins anew.
    player: { el: html("span", { hidden: true }), pause: () => session.rewind(), dispose: () => session.dispose() },
    controls: more.el,
    handles: [],
    compute: () => session.follow(),
    draw() {
      frame.root.dataset.training = session.now.status;
      frame.root.setAttribute("aria-busy", String(session.now.status === "loading"));
      presets.show(nameOf(view));
      transport.show();
      more.show();
      for (const part of [...pictures, ...digits, panels]) part.draw();
    },
    describe: say,
    table: () => tableOf(view),
    python: () => pythonOf(view, writeLink(frame.state)),
    writeLink, readLink,
    dispose() {
      watch.dispose();
      for (const part of [...pictures.map(({ plot }) => plot), ...digits, panels]) part.dispose();
    },
  });
}

/** @param {import("../../shared/frame.js").Frame<State>} frame @param {string} name of a preset */
function show(frame, name) {
  const preset = frame.config.presets[name];
  frame.restore({ ...frame.initial, ...preset });
  frame.open([...new Set([...frame.state.panels, ...(preset.panels ?? [])])]);
}

/** What the pictures know beside the frame. @param {import("../../shared/frame.js").Frame<State>} frame @param {import("../../shared/model.js").Model} model @param {() => Promise<void>} turn */
function partsOf(frame, model, turn) {
  const session = createSession({
    load: loaderFor(model),
    state: () => frame.state,
    news: () => frame.redraw(),
    setRho: (rho) => frame.update({ rho }),
    turn,
  });
  const hasTrained = () => session.now.step > 0;
  const course = () => courseOf(frame.initial, frame.state, model.get("_course"), hasTrained());
  return {
    session, hasTrained, course,
    /** Where all axes of steps end. */
    lastStep: () => Math.max(lastStep(session.now.step), course()?.steps.at(-1) ?? 0),
    testRows: () => constants.train_yourself.images - frame.state.rows,
  }; // prettier-ignore
}

/** The preset that is shown, if it is one. @param {View} view */
function nameOf({ state, config, initial, session }) {
  const rho = session.now.moved?.rho ?? state.rho;
  const is = (/** @type {any} */ preset) =>
    Object.entries({ ...initial, ...preset, panels: state.panels }).every(([name, value]) => value === (name === "rho" ? rho : state[/** @type {keyof State} */ (name)]));
  return PRESETS.map(([name]) => name).find((name) => is(config.presets[name])) ?? "";
}

/** Links hold ρ as it was before it moved by itself. @param {View} view */
function links(view) {
  const { writeLink, readLink } = linksOf(view, { labels: LABELS });
  return {
    readLink,
    /** @param {State} state */
    writeLink(state) {
      const { moved } = view.session.now;
      return writeLink(moved && state.rho === state.switch_rho ? { ...state, rho: moved.rho } : state);
    },
  };
}

/** A text that is made anew only now and then while something is in motion. @param {() => string} make @param {() => boolean} moving */
function sparingly(make, moving) {
  let text = "";
  let made = -Infinity;
  return () => {
    const now = performance.now();
    if (text && moving() && now - made < 250) return text;
    made = now;
    text = make();
    return text;
  };
}
