// The figure "OppositeDrifts": one start in the two valleys, from which full-batch SAM drifts towards smaller
// λ₁, 1-SAM towards a smaller trace, and mini-batches somewhere between.
//
// The data flows one way: state → runs and flows (here) → pictures (drifts-plots.js).

import { button, labelled, nextSeed, numberField, player, traitControls } from "../../shared/controls.js";
import { createDriftPlots } from "./plots.js";
import { VALLEY_SLOPES, batchWeights, simulate, twoValleys, valleyFlow, valleyTop, valleyTrace } from "../../dynamics/engine.js";
import { count, number } from "../../shared/format.js";
import { createFrame } from "../../shared/frame.js";
import { createLegend, line, method } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";

/**
 * @typedef {object} State
 * @property {number[]} start x, y₁, y₂
 * @property {number} rho
 * @property {number} lr
 * @property {number} batch_size
 * @property {number} seed
 * @property {number} steps
 * @property {number} frame
 */

/**
 * One method's run.
 *
 * @typedef {object} Course
 * @property {"gradient-descent" | "sam" | "mini-batch" | "one-sam"} name
 * @property {Float64Array} x every iterate, three numbers each
 * @property {Float64Array} along x at the key steps
 * @property {number} lost the first key step, by number, at which it has left the valleys; ∞ if none
 */

/** @typedef {ReturnType<typeof createValleys>} Valleys */

const DIM = 3;

/** Where playing and scrubbing stop, so many of them. */
const KEYS = 400;

/** @type {(keyof State)[]} */
const NAMES = ["start", "rho", "lr", "batch_size", "seed", "steps", "frame"];

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderOppositeDrifts(context) {
  const frame = createFrame(context, {
    names: NAMES,
    redrawOnly: ["frame"],
  });
  const valleys = createValleys(frame.state);
  const plots = createDriftPlots(Object.assign(frame, { valleys }));
  const play = player({ linear: true, onFrame: (step, settled) => frame.update({ frame: step }, settled) });
  const controls = traitControls(
    frame,
    {
      batch_size: { label: "Batch size m", integer: true },
      rho: { label: "Radius ρ" },
      lr: { label: "Learning rate η" },
      steps: { label: "Steps", integer: true },
    },
    { trait: "start", title: "Start", labels: ["x", "y₁", "y₂"] },
  );
  const limits = frame.config.limits.seed;
  const seed = labelled("Seed", numberField({
    name: "seed", label: "Seed of the draws", limits, integer: true, onInput: (value) => frame.update({ seed: value }),
  })); // prettier-ignore
  const redraw = button({
    label: "Draw other mini-batches", text: "New draw",
    onPress: () => frame.update({ seed: nextSeed(frame.state.seed, limits) }),
  }); // prettier-ignore
  redraw.dataset.control = "draw";
  controls.el.lastElementChild?.append(seed.el, redraw);

  return frame.mount({
    className: "samlib-drifts",
    choices: null,
    hint: "Drag the start, change the batch size, or drag across a panel to go through time.",
    legend: legend(),
    stage: plots.plots.map((plot) => plot.el),
    player: play,
    controls: controls.el,
    handles: [plots.handle],
    compute: valleys.compute,
    draw() {
      const { state } = frame;
      controls.show();
      seed.show(state.seed);
      play.show(state.frame, valleys.keys, `step ${count(state.frame)} of ${count(state.steps)}`);
      plots.draw();
    },
    describe: () => describe(valleys),
    ...linksOf(frame, {
      labels: { rho: "ρ", lr: "η", batch_size: "m", frame: "step" },
      whole: ["batch_size", "seed", "steps", "frame"],
    }),
    dispose: () => plots.plots.forEach((plot) => plot.dispose()),
  });
}

/**
 * The runs and flows of a state, computed again by compute().
 *
 * @param {State} state
 */
function createValleys(state) {
  const landscape = twoValleys();
  /** @type {Course[]} */
  const courses = /** @type {const} */ (["gradient-descent", "sam", "mini-batch", "one-sam"]).map((name) => ({
    name,
    x: new Float64Array(),
    along: new Float64Array(),
    lost: Infinity,
  }));
  /** @type {Map<string, {key: string, weights: Float64Array}>} they depend on neither start, η nor ρ */
  const drawn = new Map();

  /** @param {Course["name"]} name */
  function weightsFor(name) {
    if (name !== "mini-batch" && name !== "one-sam") return undefined;
    const { seed, steps, batch_size } = state;
    const size = name === "one-sam" ? 1 : batch_size;
    const key = [seed, steps, size].join();
    let found = drawn.get(name);
    if (found?.key !== key) drawn.set(name, (found = { key, weights: batchWeights(seed, size, steps) }));
    return found.weights;
  }

  const valleys = {
    state,
    courses,
    keys: [0],
    /** Both limiting flows at the key steps; NaN where gradient descent does not arrive. */
    flows: { top: new Float64Array(), trace: new Float64Array() },
    compute() {
      const { start, lr, rho, steps } = state;
      if (valleys.keys[valleys.keys.length - 1] !== steps) valleys.keys = keySteps(steps);
      const { keys, flows } = valleys;
      for (const course of courses) {
        const weights = weightsFor(course.name);
        const rule = course.name === "one-sam" ? "mini-batch" : course.name;
        course.x = simulate(landscape, rule, { start, steps, lr, rho, weights, into: course.x }).x;
        course.along = Float64Array.from(keys, (t) => course.x[t * DIM]);
        const lost = keys.findIndex((t) => valleys.diverged(course, t));
        course.lost = lost < 0 ? Infinity : lost;
      }
      // They start on the floor, where gradient descent arrives.
      const [descent] = courses;
      const from = valleys.diverged(descent, steps) ? NaN : descent.x[steps * DIM];
      for (const name of /** @type {const} */ (["top", "trace"])) {
        flows[name] = Float64Array.from(keys, (t) => valleyFlow(from, VALLEY_SLOPES[name], lr * rho * rho * t));
      }
    },
    /** Where a run is. @param {Course} course @param {number} t */
    at: (course, t = state.frame) => course.x[t * DIM],
    /** Has a run left the valleys by step t? @param {Course} course @param {number} t */
    diverged({ x }, t) {
      const high = Math.hypot(state.start[1], state.start[2]) + state.rho;
      return !(Math.hypot(x[t * DIM + 1], x[t * DIM + 2]) <= 100 * high);
    },
  };
  return valleys;
}

/** Evenly spaced steps from 0 to the last. @param {number} steps */
function keySteps(steps) {
  const stride = Math.ceil(steps / KEYS);
  const keys = [];
  for (let t = 0; t < steps; t += stride) keys.push(t);
  keys.push(steps);
  return keys;
}

/** One sentence that says what is shown. @param {Valleys} valleys */
function describe(valleys) {
  const { state, courses } = valleys;
  const [descent, sam, batches, single] = courses;
  const say = (/** @type {Course} */ course, /** @type {string} */ name) => {
    const x = valleys.at(course);
    return valleys.diverged(course, state.frame)
      ? `${name} has left the valleys: η = ${number(state.lr)} is too large for it`
      : `${name} is at x = ${number(x)} (λ₁ = ${number(valleyTop(x))}, trace ${number(valleyTrace(x))})`;
  };
  const x = state.start[0];
  const parts = [
    say(sam, "full-batch SAM"),
    ...(state.batch_size > 1 ? [say(batches, `SAM on batches of ${state.batch_size}`)] : []),
    say(single, "1-SAM"),
    say(descent, "gradient descent"),
  ];
  return (
    `Step ${count(state.frame)}, from x = ${number(x)} with λ₁ = ${number(valleyTop(x))} and trace ` +
    `${number(valleyTrace(x))}: ${parts.join("; ")}.`
  );
}

/** What the lines and marks are. */
function legend() {
  return createLegend([
    method("sam", "full-batch SAM"),
    method("mini-batch", "SAM on mini-batches of m"),
    method("one-sam", "1-SAM"),
    method("gradient-descent", "gradient descent (GD)"),
    ["worst", [line()], "limiting flow of λ₁"],
    ["average", [line()], "limiting flow of the trace"],
  ]);
}
