// A training session: two networks from the same start, each with a method of its own, step by step in time with one
// another. Nothing here knows of the page; what is asked for comes as functions.

import { createHistory } from "./history.js";
import { readingOf, wantedOf } from "./measuring.js";
import { problemOf, rulesOf } from "./settings.js";

/** @typedef {import("./figure.js").State} State */
/** @typedef {import("../../training/api.js").Training} Training */
/** @typedef {import("../../training/api.js").Measurement} Measurement */
/** @typedef {import("../../training/api.js").Progress} Progress */
/** @typedef {import("../../training/api.js").Wrong} Wrong */
/** @typedef {import("../../training/api.js").TrainingOptions} TrainingOptions */
/** @typedef {{openTraining: (options: TrainingOptions) => Promise<Training>}} Engine */
/** @typedef {{step: number, rules: import("../../training/api.js").TrainingRule[]}} Turn from this step on */
/** @typedef {"idle" | "loading" | "ready" | "failed"} Status */

/**
 * @typedef {object} Hooks
 * @property {() => Promise<Engine>} load
 * @property {() => State} state the settings as they are now: they may change between any two steps
 * @property {() => void} news called when there is something new to draw
 * @property {(rho: number) => void} setRho moves ρ, where the settings say that it moves by itself
 * @property {() => Promise<void>} [turn] waits until the page wants the next steps
 */

/** So many steps a second at most: a reader has to see what happens. */
const PACE = 240;

/** Between two looks at the curvature at most so many steps, and about so much time (ms). */
const MOST_STEPS = 8;
const BETWEEN_LOOKS = 50;

/** What is dear to measure is measured at most so often (ms). */
const BETWEEN_LONG_LOOKS = 400;

/** So many wrong digits of a run are fetched: more than a line of them holds. */
const WRONG = 48;

/** A run whose loss is larger has diverged. */
const FAR = 1e6;

/** @param {Hooks} hooks */
export function createSession({ load, state, news, setRho, turn = async () => {} }) {
  const history = createHistory();
  const now = {
    /** @type {Status} */ status: "idle",
    error: "",
    /** Does the reader want it to play? While it is being opened it waits. */
    playing: false,
    step: 0,
    history,
    /** @type {(Measurement | undefined)[]} the last long look at each run, for pictures of one moment */
    moment: [undefined, undefined],
    /** @type {Wrong[][]} test digits that each run takes for others, some of them */
    wrong: [[], []],
    /** Has the loss of a run left all bounds? */
    lost: [false, false],
    /** The rules of both runs, where they changed: what a step was taken by. @type {Turn[]} */
    turns: [],
    /** ρ before it moved by itself, and when that was. @type {{rho: number, step: number} | undefined} */
    moved: undefined,
  };
  /** @type {Promise<Training[]> | undefined} */
  let pair;
  let problem = "";
  let shown = "";
  let generation = 0;
  let tail = Promise.resolve();
  /** @type {Progress[]} where the steps have brought each run */
  let places = [];
  let rounds = false; // is one round after the other being done?
  let chunk = 1;
  let longLook = -Infinity;

  /** @param {Status} status */
  function become(status, error = "") {
    Object.assign(now, { status, error });
    news();
  }

  /** Do something with both networks after whatever is being done; what belongs to an older pair is dropped. @param {(both: Training[]) => Promise<void>} job */
  function enqueue(job) {
    const mine = generation;
    tail = tail.then(async () => {
      if (mine !== generation) return;
      try {
        const both = await opened();
        if (mine === generation) await job(both); // other data may have been chosen while these were being opened
      } catch (problem) {
        if (mine !== generation) return;
        close();
        now.playing = false;
        become("failed", problem instanceof Error ? problem.message : String(problem));
      }
    });
    return tail;
  }

  function opened() {
    pair ??= (async () => {
      const { openTraining } = await load();
      const options = problemOf(state());
      return Promise.all([openTraining(options), openTraining(options)]);
    })();
    return pair;
  }

  function close() {
    generation += 1;
    pair?.then((both) => both.forEach((training) => training.close())).catch(() => {});
    pair = undefined;
    rounds = false;
    tail = Promise.resolve(); // what was asked of them is never answered
    forget();
  }

  function forget() {
    history.clear();
    const nothing = { step: 0, turns: [], moment: [undefined, undefined], wrong: [[], []], lost: [false, false] };
    Object.assign(now, nothing, { moved: undefined });
    chunk = 1;
    longLook = -Infinity;
  }

  /** Where the settings say so, ρ moves by itself. */
  function moveRho() {
    const { switch_step, switch_rho, rho } = state();
    if (switch_step === 0 || now.step !== switch_step || now.moved) return;
    now.moved = { rho, step: now.step };
    setRho(switch_rho);
  }

  /** @param {Training[]} both @param {number} most how many steps */
  async function advance(both, most) {
    moveRho();
    const { switch_step } = state();
    const count = switch_step > now.step ? Math.min(most, switch_step - now.step) : most;
    const rules = rulesOf(state());
    if (JSON.stringify(now.turns.at(-1)?.rules) !== JSON.stringify(rules)) now.turns.push({ step: now.step, rules });
    await Promise.all(
      both.map(async (training, i) => {
        if (now.lost[i]) return;
        places[i] = await training.step(rules[i], count);
        now.lost[i] = !(places[i].loss < FAR);
      }),
    );
    now.step += count;
  }

  /** Measure what is shown. @param {Training[]} both */
  async function look(both) {
    const began = performance.now();
    const long = began - longLook > BETWEEN_LONG_LOOKS;
    if (long) longLook = began;
    const mine = generation;
    const settings = state();
    const wanted = wantedOf(settings, long);
    const found = await Promise.all(both.map((each, i) => (now.lost[i] ? undefined : each.measure(wanted))));
    if (long) now.wrong = await Promise.all(both.map((each, i) => (now.lost[i] ? [] : each.wrong(WRONG))));
    if (mine !== generation) return;
    const rules = rulesOf(settings);
    const runs = found.map((each, i) => readingOf(places[i], each, rules[i]));
    history.add({ step: now.step, rho: settings.rho, lr: settings.lr, runs: /** @type {any} */ (runs) });
    if (long) now.moment = found;
    news();
  }

  /** One round: some steps, a look at both, and a wait for whoever watches. @param {Training[]} both */
  async function round(both) {
    rounds = now.playing;
    if (!rounds) return;
    const began = performance.now();
    const count = Math.max(1, Math.round(chunk));
    await advance(both, count);
    await look(both);
    const took = performance.now() - began;
    // As many steps between two looks as fit into the time that a round may take.
    chunk = Math.min(Math.max((chunk * BETWEEN_LOOKS) / took, chunk / 2, 1), 1.5 * chunk + 0.5, MOST_STEPS);
    await Promise.all([turn(), new Promise((done) => setTimeout(done, (1000 * count) / PACE - took))]);
    if (now.lost.every(Boolean)) rest();
    enqueue(round);
  }

  /** Open both networks, if they are not, and look at their start. */
  function open() {
    if (now.status === "ready" || now.status === "loading") return tail;
    become("loading");
    return enqueue(async (both) => {
      places = both.map(({ start }) => start);
      await look(both);
      become("ready");
    });
  }

  function rest() {
    if (!now.playing) return;
    now.playing = false;
    news();
  }

  function play() {
    now.playing = true;
    open();
    news();
    if (!rounds) {
      rounds = true;
      enqueue(round);
    }
  }

  return {
    now,
    /** Show the start, without training. */
    prepare: () => (now.status === "idle" ? open() : tail),
    play,
    pause: rest,
    /** Pause, and take one step. */
    stepOnce() {
      rest();
      open();
      return enqueue(async (both) => {
        await advance(both, 1);
        longLook = -Infinity;
        await look(both);
      });
    },
    /** Back to the same start, and wait there. */
    rewind() {
      rest();
      if (now.status !== "ready") return tail;
      if (now.moved && state().rho === state().switch_rho) setRho(now.moved.rho);
      return enqueue(async (both) => {
        places = await Promise.all(both.map((training) => training.rewind()));
        forget();
        await look(both);
      });
    },
    /** Follow the settings: other data or another network begin anew, another panel needs another look. */
    follow() {
      const panels = state().panels.join();
      const next = JSON.stringify(problemOf(state()));
      const [first, other, another] = [problem === "", problem !== next, shown !== panels];
      problem = next;
      shown = panels;
      if (first || now.status === "idle") return;
      if (other) {
        close();
        now.status = "idle";
        if (now.playing) play();
        else open();
      } else if (another && now.status === "ready" && !now.playing) {
        longLook = -Infinity;
        enqueue(look);
      }
    },
    dispose() {
      close();
      now.status = "idle";
      now.playing = false;
    },
  };
}
