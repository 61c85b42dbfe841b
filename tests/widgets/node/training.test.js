// What a page trains in float64, against samlib and torch: data, starts, every iterate of every rule.

import assert from "node:assert/strict";
import { test } from "node:test";
import { unpackDigits } from "../../../samlib/widgets/src/training/digits/unpack.js";
import { plainArithmetic } from "../../../samlib/widgets/src/training/arithmetic/plain.js";
import { createSession } from "../../../samlib/widgets/src/training/run/session.js";
import { createStepper } from "../../../samlib/widgets/src/training/run/rules.js";
import { openRun } from "../../../samlib/widgets/src/training/host.js";
import { centred, shuffledLabels } from "../../../samlib/widgets/src/training/run/data.js";
import { assertClose, assertNear, assertSameRun, expected } from "./expected.js";

const PLAIN = (build) => build(plainArithmetic());

/** Every iterate of some steps, where the session is first. */
function follow({ x, problem }, rule, steps) {
  const advance = createStepper(problem);
  const points = [x.slice()];
  for (let t = 0; t < steps; t++) {
    advance(x, rule);
    points.push(x.slice());
  }
  return points;
}

const joined = (points) => points.flatMap((x) => Array.from(x));

test("the digits are scikit-learn's", () => {
  const { images, labels } = unpackDigits();
  assert.deepEqual(Array.from(images), Array.from(expected.digits.images));
  assert.deepEqual(Array.from(labels), Array.from(expected.digits.labels));
});

test("and as samlib scales and centres them", () => {
  const { images } = unpackDigits();
  for (const { rows, inputs } of expected.centred) {
    assertClose(centred(images, rows), inputs, { rtol: 0, atol: 2e-16 });
  }
});

for (const { settings, rule, x, losses, norms } of [...expected.runs, ...expected.microBatches]) {
  test(`every iterate is samlib's: ${JSON.stringify(settings.network)}, ${JSON.stringify(rule)}`, () => {
    const session = createSession(settings, PLAIN);
    const { dim } = session.model;
    const points = follow(session, rule, x.length / dim - 1);
    assert.equal(points.length, 51);
    assertSameRun(joined(points), x, dim);
    assert.ok(Math.hypot(...points[50].map((v, i) => v - points[0][i])) > 0.03 * Math.hypot(...points[0]));

    const again = openRun(settings);
    const seen = again.step(rule, 50);
    assertSameRun(again.weights(), points[50], dim);
    assert.equal(seen.step, 50);
    if (!losses) return;
    assertClose(seen.losses, losses.slice(0, 50), { rtol: 1e-10 });
    assertClose(seen.gradientNorms, norms.slice(0, 50), { rtol: 1e-9 });
    assertNear(seen.loss, losses[50], 1e-10);
    assertNear(seen.gradientNorm, norms[50], 1e-9);
  });
}

test("so they are where rule and radius change on the way", () => {
  const { settings, parts, x } = expected.switched;
  const session = createSession(settings, PLAIN);
  const points = parts.flatMap(({ rule, steps }, i) => follow(session, rule, steps).slice(i ? 1 : 0));
  assertSameRun(joined(points), x, session.model.dim);
});

for (const { settings, train, test: share, wrong, answers, labels } of expected.answers) {
  test(`answers are torch's: ${JSON.stringify(settings.network)}`, () => {
    const run = openRun(settings);
    const { trainAccuracy, testAccuracy } = run.rewind();
    assertNear(trainAccuracy, train, 1e-12);
    assertNear(testAccuracy, share, 1e-12);
    const found = run.wrong(10_000);
    assert.deepEqual(found.map(({ row }) => row), wrong);
    assert.deepEqual(found.map(({ answer }) => answer), answers);
    assert.deepEqual(found.map(({ label }) => label), labels);
    const { images } = unpackDigits();
    const at = (settings.rows + wrong[3]) * 64;
    assert.deepEqual(found[3].pixels, images.slice(at, at + 64));
    assert.equal(run.wrong(5).length, 5);
  });
}

test("rewinding brings back the same start, bit by bit, and the same draws", () => {
  for (const precision of ["float64", "float32"]) {
    const run = openRun({ ...expected.runs[0].settings, precision });
    const rule = { name: "mini_batch", lr: 0.1, rho: 0.1, batch: 5 };
    const start = run.weights();
    run.step(rule, 20);
    const there = run.weights();
    assert.notDeepEqual(there, start);
    run.measure({ trace: true });
    assert.equal(run.rewind().step, 0);
    assert.deepEqual(run.weights(), start);
    run.step(rule, 13);
    run.measure({}); // draws nothing of the run's own
    run.step(rule, 7);
    assert.deepEqual(run.weights(), there);
  }
});

test("shuffled labels keep their frequencies, and as many move as are asked for", () => {
  const { labels } = unpackDigits();
  const rows = 1000;
  const counts = (all) => all.reduce((sums, label) => ((sums[label] += 1), sums), new Array(10).fill(0));
  for (const share of [0, 0.25, 0.5, 1]) {
    const mixed = shuffledLabels(labels, rows, share, 7);
    assert.deepEqual(counts(Array.from(mixed)), counts(Array.from(labels.slice(0, rows))));
    const moved = mixed.filter((label, i) => label !== labels[i]).length;
    assert.ok(Math.abs(moved - 0.9 * share * rows) <= 30, `${moved} of ${share}`);
  }
  const other = shuffledLabels(labels, rows, 1, 8);
  assert.notDeepEqual(other, shuffledLabels(labels, rows, 1, 7));
});

test("a run that leaves all bounds says so, and goes no further", () => {
  for (const precision of ["float64", "float32"]) {
    const run = openRun({ ...expected.runs[0].settings, precision });
    const far = run.step({ name: "gradient_descent", lr: 1e200 }, 50);
    assert.ok(far.diverged && far.losses.length < 50, `${precision}: ${far.loss}`);
    const found = run.measure({ trace: true, profile: { reach: 1, points: 5 } });
    assert.equal(found.eigenvalues.length, 0);
    assert.equal(found.trace, null);
    assert.equal(run.rewind().diverged, false);
    assert.equal(run.measure({}).eigenvalues.length, 10);
  }
});

test("what makes no sense is refused by name", () => {
  const run = openRun(expected.runs[0].settings);
  const cases = [
    [{ name: "adam", lr: 1 }, /rule\.name/],
    [{ name: "sam", lr: 0, rho: 0.1 }, /rule\.lr/],
    [{ name: "sam", lr: 0.1, rho: -1 }, /rule\.rho/],
    [{ name: "sam", lr: 0.1 }, /rule\.rho/],
    [{ name: "sgd", lr: 0.1, batch: 0 }, /rule\.batch/],
    [{ name: "sgd", lr: 0.1, batch: 61 }, /rule\.batch/],
  ];
  for (const [rule, message] of cases) assert.throws(() => run.step(rule, 1), message);
  const { settings } = expected.runs[0];
  const settingsCases = [
    [{ rows: 0 }, /rows/], [{ rows: 1797 }, /rows/], [{ rows: 1.5 }, /rows/], [{ shuffled: 1.2 }, /shuffled/],
    [{ seed: -1 }, /seed/], [{ loss: "hinge" }, /loss/], [{ precision: "float16" }, /precision/],
    [{ network: { kind: "perceptron", width: 0 } }, /width/], [{ network: { kind: "rnn" } }, /network/],
    [{ network: { kind: "convolutional", channels: 1.5 } }, /channels/],
  ]; // prettier-ignore
  for (const [wrong, message] of settingsCases) assert.throws(() => openRun({ ...settings, ...wrong }), message);
});
