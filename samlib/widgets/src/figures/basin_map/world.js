// What the figure knows: the loss, the map that was computed last, and the run from the chosen start.

import { partOf } from "../../shared/parts.js";
import { ELSEWHERE, LEFT, SLOPE } from "./ends.js";
import { lossOf } from "./losses.js";
import { createMaps } from "./maps.js";
import { runFrom } from "./run.js";

/** @typedef {import("./figure.js").State} State */
/** @typedef {import("./tape.js").Formula} Formula */
/** @typedef {ReturnType<typeof createWorld>} World */

/**
 * A point of the plane that has a name.
 *
 * @typedef {{at: number[], type: string, name: string}} Landmark
 */

/** So many places still have their names on the map. */
const NAMED = 3;

/**
 * @param {State} state @param {any} config @param {import("../../shared/model.js").Model} model
 * @param {() => void} redraw
 */
export function createWorld(state, config, model, redraw) {
  const formulas = createFormulas(model, () => {
    world.compute();
    redraw();
  });
  const maps = createMaps((field) => {
    // For benchmarks/widgets.py; only the last one is kept.
    performance.clearMeasures("samlib:map");
    performance.measure("samlib:map", { start: field.task.asked, detail: field.size });
    if (field.last && same(field.task, asked)) world.busy = false;
    world.field = field;
    redraw();
  });
  /** @type {import("./ends.js").Task | null} the last task */
  let asked = null;
  let runKey = "";

  const world = {
    state,
    loss: lossOf("double well", null),
    /** Tells losses apart. */
    key: "",
    /** @type {import("./queue.js").Field | null} the last map of this loss */
    field: null,
    /** @type {import("./run.js").Run | null} */
    run: null,
    /** @type {Landmark[]} */
    landmarks: [],
    /** @type {import("./colours.js").Inks} */
    inks: /** @type {any} */ (null),
    box: boxOf(config.presets["double well"]),
    busy: true,
    /** What is wrong with the formula, if anything is. */
    problem: "",
    hasCard: () => maps.hasCard,
    /** What the last map was asked for. */
    get task() {
      return asked;
    },
    /** What is wrong with a formula that a reader has typed, if anything is. */
    problemOf: formulas.problemOf,
    compute() {
      const formula = state.loss === "formula" ? formulas.get(state.formula) : null;
      world.problem = formula && "problem" in formula ? formula.problem : "";
      if (state.loss === "formula" && (!formula || "problem" in formula)) {
        world.busy = !world.problem;
        return;
      }
      const task = taskOf(state, /** @type {Formula | null} */ (formula));
      takeLoss(task);
      if (same(task, asked)) return;
      asked = task;
      world.busy = true;
      maps.ask(task);
    },
    /** The run from the chosen start, once what it depends on has changed. */
    follow() {
      if (!asked || world.problem) return;
      const { rho, lr, steps, method, across } = asked;
      const key = JSON.stringify([world.key, rho, lr, steps, method, across, state.start]);
      if (key === runKey) return;
      runKey = key;
      world.run = runFrom(asked, state.start);
    },
    /** Which share of the starts has each label. @returns {Map<number, number>} */
    shares() {
      const shares = new Map(world.loss.places.map((_, k) => [k, 0]));
      const { cells, size } = world.field ?? { cells: [], size: 1 };
      for (let at = 0; at < cells.length; at += 4) shares.set(cells[at], (shares.get(cells[at]) ?? 0) + 1);
      return new Map([...shares].map(([label, count]) => [label, count / (size * size)]));
    },
    dispose: () => maps.dispose(),
  };

  /** @param {import("./ends.js").Task} task */
  function takeLoss({ loss, formula }) {
    const key = `${loss} ${formula?.text ?? ""}`;
    if (key === world.key) return;
    Object.assign(world, { key, loss: lossOf(loss, formula), field: null, run: null, box: boxOf(config.presets[loss]) });
    world.landmarks = landmarksOf(loss, world.loss);
  }

  return world;
}

/** @param {State} state @param {Formula | null} formula @returns {import("./ends.js").Task} */
function taskOf({ loss, method, rho, lr, steps, center, reach, across }, formula) {
  return { loss, method, rho, lr, steps, center: [...center], reach, across: [...across], formula, asked: performance.now() };
}

/** @param {import("./ends.js").Task | null} a @param {import("./ends.js").Task | null} b */
const same = (a, b) => keyOf(a) === keyOf(b);

/** @param {import("./ends.js").Task | null} task */
const keyOf = (task) => task && JSON.stringify({ ...task, formula: task.formula?.text, asked: 0 });

/** Which part of the first window a point is at, from 0 to 1 each. @param {{center: number[], reach: number}} window */
function boxOf({ center, reach }) {
  return {
    /** @param {number} a @param {number} b @param {number} dim @returns {[number, number]} */
    part: (a, b, dim) => [
      (a - center[0] + reach) / (2 * reach),
      dim === 3 ? 0 : (b - center[1] + reach) / (2 * reach), // two valleys have one coordinate along them
    ],
  };
}

/** @param {string} name @param {import("./losses.js").Loss} loss @returns {Landmark[]} */
function landmarksOf(name, { kind, places }) {
  if (name === "four dimensions") return [{ at: [0, 0], type: "minimum", name: "least λ₁" }];
  if (kind === "direction") return [{ at: [0, 0], type: "minimum", name: "minimum" }];
  return places.map(({ x, type }) => ({ at: x, type, name: places.length <= NAMED ? type : "" }));
}

/** What a label is called. @param {import("./losses.js").Place[]} places @param {number} label */
export function nameOfLabel(places, label) {
  if (label === SLOPE) return "at rest on a slope";
  if (label === ELSEWHERE) return "at none of these";
  if (label === LEFT) return "gone without end";
  const { x, type } = places[label];
  const alike = places.filter((place) => place.type === type);
  if (alike.length === 1) return `the ${type}`;
  if (alike.length === 2) return `the ${alike[0] === places[label] ? "left" : "right"} ${type}`;
  return `the ${type} (${x.map((v) => String(Math.round(v * 100) / 100).replace("-", "−")).join(", ")})`;
}

/**
 * Formulas that were read. The library for it comes with the first.
 *
 * @param {import("../../shared/model.js").Model} model @param {() => void} changed
 */
function createFormulas(model, changed) {
  /** @type {Map<string, Formula | {problem: string}>} */
  const found = new Map();
  /** @type {((text: string) => Formula) | null} */
  let read = null;
  let failed = "";

  /** @param {string} text @returns {Formula | {problem: string}} */
  function attempt(text) {
    try {
      return /** @type {(text: string) => Formula} */ (read)(text);
    } catch (error) {
      return { problem: /** @type {Error} */ (error).message };
    }
  }

  /** The formula, or what is wrong with it. @param {string} text */
  function known(text) {
    if (failed) return { problem: failed };
    const before = found.get(text) ?? attempt(text);
    found.set(text, before);
    return before;
  }

  /** Have the library. */
  async function fetchIt() {
    const arrived = (/** @type {{read: (text: string) => Formula}} */ part) => ({ read } = part);
    const missed = () => (failed = "What reads formulas could not be loaded.");
    await partOf(model, "formulas").then(arrived, missed);
  }

  return {
    /** As known; null while the library is on its way, after which it is computed again. @param {string} text */
    get(text) {
      if (read || failed) return known(text);
      fetchIt().then(changed);
      return null;
    },
    /** What is wrong with a formula, if anything is. @param {string} text */
    async problemOf(text) {
      if (!read) await fetchIt();
      const formula = known(text);
      return "problem" in formula ? formula.problem : "";
    },
  };
}
