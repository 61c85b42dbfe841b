// What the figure "TrainYourself" shows of its two runs against samlib: the session as the page has it, with the engine on
// the page in float64.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createHistory } from "../../../samlib/widgets/src/figures/train_yourself/history.js";
import { createSession } from "../../../samlib/widgets/src/figures/train_yourself/session.js";
import { createLibrary } from "../../../samlib/widgets/src/training/api.js";
import { assertClose, expected } from "./expected.js";

/** A session of a state, with the engine here. @param {any} given */
function sessionOf(given, { openTraining = createLibrary("").openTraining } = {}) {
  const state = { ...given };
  let opened = 0;
  const session = createSession({
    load: async () => ({
      openTraining: (options) => (opened++, openTraining({ ...options, where: "page" })),
    }),
    state: () => state,
    news() {},
    setRho: (rho) => (state.rho = rho),
  });
  session.follow();
  return { session, state, opened: () => opened };
}

/** A quantity of a run at every look. @param {any} session @param {number} run @param {string} name */
const column = (session, run, name) => session.now.history.looks.map((look) => look.runs[run][name]);

for (const { name, state, steps, runs } of expected.states) {
  test(`each step has samlib's numbers: ${name}`, async () => {
    const { session } = sessionOf(state);
    for (let t = 0; t < steps; t++) await session.stepOnce();
    assert.equal(session.now.error, "");
    assert.equal(session.now.step, steps);
    runs.forEach((theirs, run) => {
      for (const quantity of ["loss", "norm", "train", "test"]) {
        assertClose(column(session, run, quantity), theirs[quantity], { rtol: 1e-9 });
      }
      assertClose(column(session, run, "edge"), theirs.edge, { rtol: 1e-9 });
      assertClose(column(session, run, "top"), theirs.top, { rtol: 1e-3 });
    });
  });
}

const { state } = expected.states[1];

test("rewinding restores the same start, and the same steps after it", async () => {
  const { session } = sessionOf(state);
  for (let t = 0; t < 3; t++) await session.stepOnce();
  const [loss, norm] = [column(session, 1, "loss"), column(session, 1, "norm")];
  await session.rewind();
  assert.equal(session.now.step, 0);
  assert.equal(session.now.history.looks.length, 1);
  for (let t = 0; t < 3; t++) await session.stepOnce();
  assert.deepEqual(column(session, 1, "loss"), loss);
  assert.deepEqual(column(session, 1, "norm"), norm);
});

test("ρ moves by itself at its step, and back when it is rewound", async () => {
  const { session, state: now } = sessionOf(expected.states[5].state);
  for (let t = 0; t < 3; t++) await session.stepOnce();
  assert.equal(now.rho, 0.05);
  await session.stepOnce();
  assert.equal(now.rho, 0.4);
  assert.deepEqual(session.now.moved, { rho: 0.05, step: 3 });
  await session.rewind();
  assert.equal(now.rho, 0.05);
});

test("playing takes both runs on together, until it is paused", async () => {
  const { session, state: now } = sessionOf({ ...state, second: "sam" });
  await session.prepare();
  assert.equal(session.now.status, "ready");
  session.play();
  while (session.now.step < 12) await new Promise((done) => setTimeout(done, 5));
  now.rho = 1.5; // while it trains
  while (session.now.step < 24) await new Promise((done) => setTimeout(done, 5));
  session.pause();
  await new Promise((done) => setTimeout(done, 200));
  const { step } = session.now;
  await new Promise((done) => setTimeout(done, 200));
  assert.equal(session.now.step, step);
  const { looks } = session.now.history;
  assert.ok(looks.every((look, i) => i === 0 || look.step > looks[i - 1].step));
  assert.ok(looks.some(({ rho }) => rho === 1.5) && looks.some(({ rho }) => rho === state.rho));
});

test("other data begin anew with other networks", async () => {
  const { session, state: now, opened } = sessionOf(state);
  await session.stepOnce();
  assert.equal(opened(), 2);
  session.follow();
  assert.equal(opened(), 2); // nothing has changed
  now.rows = 70;
  session.follow();
  await session.prepare();
  assert.equal(opened(), 4);
  assert.equal(session.now.step, 0);
  assert.equal(session.now.history.looks.length, 1);
});

test("what is still being opened when other data are chosen leaves no trace", async () => {
  const { openTraining } = createLibrary("");
  /** @type {((value?: unknown) => void)[]} */
  const slow = [];
  const { session, state: now } = sessionOf(state, {
    async openTraining(options) {
      if (options.rows === state.rows) await new Promise((done) => slow.push(done));
      return openTraining(options);
    },
  });
  const begun = session.prepare();
  await new Promise((done) => setTimeout(done));
  now.rows = 70;
  session.follow();
  const { loss } = (await openTraining({ ...state, network: { kind: "perceptron", width: state.width }, rows: 70, where: "page" })).start;
  const ready = session.prepare();
  slow.forEach((open) => open());
  await Promise.all([begun, ready]);
  assert.deepEqual(column(session, 0, "loss"), [loss]);
});

test("the rules that steps were taken by are kept, until it is rewound", async () => {
  const { session, state: now } = sessionOf(state);
  await session.stepOnce();
  await session.stepOnce();
  now.rho = 0.7;
  await session.stepOnce();
  const rho = session.now.turns.map(({ step, rules }) => [step, rules[1].rho]);
  assert.deepEqual(rho, [[0, state.rho], [2, 0.7]]);
  await session.rewind();
  assert.deepEqual(session.now.turns, []);
});

test("a run that diverges is left where it is, and the other goes on", async () => {
  const { session } = sessionOf({ ...state, first: "gradient_descent", second: "one_sam", lr: 10 });
  for (let t = 0; t < 40 && !session.now.lost.every(Boolean); t++) await session.stepOnce();
  assert.equal(session.now.lost[0], true);
  assert.equal(session.now.status, "ready");
  assert.ok(Number.isNaN(session.now.history.last().runs[0].top));
});

test("what goes wrong in the engine is told in its words, and can be tried again", async () => {
  let broken = true;
  const library = createLibrary("");
  const { session } = sessionOf(state, {
    openTraining: (options) => (broken ? Promise.reject(new Error("no such luck")) : library.openTraining(options)),
  });
  await session.prepare();
  assert.equal(session.now.status, "failed");
  assert.equal(session.now.error, "no such luck");
  broken = false;
  await session.stepOnce();
  assert.deepEqual([session.now.status, session.now.error, session.now.step], ["ready", "", 1]);
});

test("a long history is thinned out evenly, and keeps its first and last look", () => {
  const history = createHistory();
  for (let step = 0; step <= 20_000; step += 5) history.add({ step, rho: 0, lr: 1, runs: [{}, {}] });
  const steps = history.looks.map((look) => look.step);
  assert.ok(steps.length > 500 && steps.length <= 1601, String(steps.length));
  assert.equal(steps[0], 0);
  assert.equal(steps.at(-1), 20_000);
  const gaps = steps.slice(1).map((step, i) => step - steps[i]);
  assert.ok(Math.max(...gaps) <= 60, String(Math.max(...gaps)));
});
