// The figure "OneLossThreeDestinations": from one start, SAM goes where λ₁ is least, 1-SAM where the trace
// is, and descent on L^Asc towards the least λ_M.

import { createBowls } from "./bowls.js";
import { button, nextSeed, player, slider, traitControls } from "../../shared/controls.js";
import { createDestinationMap } from "./map.js";
import { createDestinationPanels } from "./panels.js";
import { CURVATURES, DESCENDS, DESTINATIONS, METHODS, createDestinations } from "./destinations.js";
import { svg } from "../../shared/dom.js";
import { count, number } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";

/** @typedef {import("./destinations.js").State} State */
/** @typedef {import("../../shared/frame.js").Frame<State> & {world: import("./destinations.js").Destinations}} View */

/** @type {(keyof State)[]} */
const NAMES = ["start", "rho", "lr", "steps", "seed", "frame", "turn"];

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderOneLossThreeDestinations(context) {
  const frame = createFrame(context, {
    names: NAMES,
    redrawOnly: ["frame", "turn"],
  });
  const state = /** @type {State} */ (frame.state);
  const world = createDestinations(state);
  const view = /** @type {View} */ (Object.assign(frame, { world }));
  const map = createDestinationMap(view);
  const bowls = createBowls(view);
  const panels = createDestinationPanels(view);
  const play = player({ onFrame: (step, settled) => frame.update({ frame: step }, settled) });
  const controls = traitControls(
    frame,
    { rho: { label: "Radius ρ" }, lr: { label: "Learning rate η" }, steps: { label: "Steps", integer: true } },
    { trait: "start", title: "Start", labels: ["x₁", "x₂", "x₃", "x₄"] },
  );
  const turn = slider({
    label: "Turn the bowls", name: "turn", integer: true, scale: "linear",
    range: frame.config.sliders.turn, limits: frame.config.limits.turn,
    onInput: (value) => frame.update({ turn: value }),
  }); // prettier-ignore
  const draw = button({
    label: "Other random draws for 1-SAM",
    text: "New draws",
    onPress: () => frame.update({ seed: nextSeed(state.seed, frame.config.limits.seed) }),
  });
  draw.dataset.control = "seed";
  controls.el.insertBefore(turn.el, controls.el.lastElementChild);
  controls.el.lastElementChild?.append(draw);
  return frame.mount({
    className: "samlib-one-loss",
    choices: null,
    hint: "Press play. Then drag the start, or change η: which of the three runs minds?",
    legend: legend(),
    stage: [map.plot.el, bowls.plot.el, ...panels.plots.map((plot) => plot.el)],
    player: play,
    controls: controls.el,
    handles: [map.handle],
    compute: world.compute,
    draw() {
      controls.show();
      turn.show(state.turn);
      play.show(state.frame, world.keys, `step ${count(state.frame)} of ${count(state.steps)}`);
      map.draw();
      bowls.draw();
      panels.draw();
    },
    describe: () => describe(view),
    ...linksOf(/** @type {any} */ (frame), {
      labels: { rho: "ρ", lr: "η", frame: "step" },
      whole: ["steps", "seed", "frame", "turn"],
    }),
    dispose() {
      for (const plot of [map.plot, bowls.plot, ...panels.plots]) plot.dispose();
    },
  });
}

/**
 * One sentence that says what is shown.
 *
 * @param {View} view
 * @returns {string}
 */
function describe({ state, world }) {
  const names = { sam: "SAM", "one-sam": "1-SAM", ascent: "descent on Lᴬˢᶜ" };
  const symbols = { top: "λ₁", trace: "trace", least: "λ_M" };
  const at = 4 * state.frame;
  const parts = METHODS.map((method) => {
    const { x } = world.runs[method];
    if (world.diverged(method) && !(Math.abs(x[at]) + Math.abs(x[at + 1]) < 1e3)) {
      return `${names[method]} has diverged`;
    }
    const kind = DESCENDS[method];
    const least = CURVATURES[kind](...DESTINATIONS[kind].x);
    const place = `(${fixed(x[at])}, ${fixed(x[at + 1])})`;
    const value = number(CURVATURES[kind](x[at], x[at + 1]), 4);
    return `${names[method]} at ${place}, ${symbols[kind]} = ${value} (least ${number(least, 4)})`;
  });
  const diverging = METHODS.filter((method) => world.diverged(method)).map((method) => names[method]);
  const who = diverging.length > 1 ? `${diverging.slice(0, -1).join(", ")} and ${diverging.at(-1)}` : diverging[0];
  const warning = who ? ` With these ρ and η ${who} diverge${diverging.length > 1 ? "" : "s"}.` : "";
  const tau = number(world.time(state.frame), 3);
  return `Step ${count(state.frame)}, τ = ηρ²t = ${tau}: ${parts.join("; ")}.${warning}`;
}

/** A coordinate with three decimals. @param {number} value */
const fixed = (value) => number(Number(value.toFixed(3)));

/** What the lines and marks are. */
function legend() {
  return createLegend([
    ["sam", [line(), svg("circle", { cx: 16, cy: 7, r: 4.5, class: "samlib-key-mark" })], "SAM, full batch"],
    ["one-sam", [line(), svg("path", { d: "M16 1l6 11h-12z", class: "samlib-key-mark" })], "1-SAM, one term at a time"],
    ["ascent-descent", [line(), svg("rect", { x: 12, y: 3, width: 8, height: 8 })], "gradient descent on Lᴬˢᶜ"],
    ["flow", [line()], "limiting flow of each"],
    ["destination", [svg("path", { d: "M16 1l6 6l-6 6l-6-6z" })], "its destination"],
  ]);
}
