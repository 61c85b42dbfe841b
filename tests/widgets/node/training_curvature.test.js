// What is measured while a page trains, against dense Hessians by torch.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eigenpairs } from "../../../samlib/widgets/src/training/curvature/symmetric.js";
import { topSpectrum } from "../../../samlib/widgets/src/training/curvature/spectrum.js";
import { hutchinson } from "../../../samlib/widgets/src/training/curvature/trace.js";
import { inner } from "../../../samlib/widgets/src/training/curvature/vectors.js";
import { createSession } from "../../../samlib/widgets/src/training/run/session.js";
import { openRun } from "../../../samlib/widgets/src/training/host.js";
import { plainArithmetic } from "../../../samlib/widgets/src/training/arithmetic/plain.js";
import { withSimd } from "../../../samlib/widgets/src/training/arithmetic/simd.js";
import { edgeOfStability } from "../../../samlib/widgets/src/training/run/measure.js";
import { mersenneTwister } from "../../../samlib/widgets/src/dynamics/mersenne.js";
import { assertClose, assertNear, assertWithin, expected, relativeError } from "./expected.js";

const nameOf = ({ settings: { network, loss } }) => `${JSON.stringify(network)}, ${loss}`;

for (const point of expected.points) {
  test(`gradients and products with the Hessian are samlib's: ${nameOf(point)}`, () => {
    for (const [arithmetic, tolerance] of [[(build) => build(plainArithmetic()), 1e-11], [withSimd, 3e-6]]) {
      const { model, full, x, step } = createSession(point.settings, arithmetic);
      step(point.rule, point.steps);
      const out = new Float64Array(model.dim);
      assertNear(model.gradient(x, full, out), point.loss, tolerance);
      assert.ok(relativeError(out, point.gradient, model.dim) < tolerance);
      model.product(full, point.v, out);
      assert.ok(relativeError(out, point.product, model.dim) < tolerance);
    }
  });

  test(`what is measured is that of the dense Hessian: ${nameOf(point)}`, () => {
    const run = openRun(point.settings);
    run.step(point.rule, point.steps);
    const wish = { rtol: 1e-7, most: 3000, profile: { reach: 0.5, points: 11 }, edge: { lr: 0.2, rho: 0.1 } };
    const found = run.measure(wish);
    assert.ok(found.converged);
    assert.equal(found.step, point.steps);
    assertClose(found.eigenvalues, point.eigenvalues, { rtol: 1e-6 });
    assertNear(found.alignment, point.alignment, 1e-4);
    assertNear(found.alignmentTop, point.alignmentTop, 1e-4);
    assertClose(found.profile.at, point.reach, { atol: 1e-15 });
    assertClose(found.profile.loss, point.profile, { rtol: 1e-4 });
    const norm = Math.hypot(...point.gradient);
    assertNear((found.edge * 0.2 * (1 + (0.1 * found.edge) / norm)) / 2, 1, 1e-9);
  });

  test(`the errors of the eigenvalues hold, in float32 and from a warm start: ${nameOf(point)}`, () => {
    const run = openRun({ ...point.settings, precision: "float32" });
    run.step(point.rule, point.steps - 5);
    const before = run.measure({});
    run.step(point.rule, 5);
    const found = run.measure({});
    assert.ok(found.converged && before.converged);
    found.eigenvalues.forEach((value, i) => {
      assert.ok(found.errors[i] <= 0.01 * value);
      assertWithin(value, point.eigenvalues[i], found.errors[i] + 1e-4 * value);
    });
  });
}

test("the ten largest of 2,410 eigenvalues are samlib's, in both kinds of arithmetic", () => {
  const { settings, eigenvalues } = expected.large;
  assertClose(openRun(settings).measure({ rtol: 1e-7, most: 5000 }).eigenvalues, eigenvalues, { rtol: 1e-6 });
  const quick = openRun({ ...settings, precision: "float32" }).measure({});
  assert.ok(quick.converged);
  assertClose(quick.eigenvalues, eigenvalues, { rtol: 0.01 });
});

test("the trace is right within its standard error, as often as that says", () => {
  const { settings, rule, steps, trace } = expected.points[1];
  const { model, full, x, step } = createSession(settings, withSimd);
  step(rule, steps);
  const [g, { word }] = [new Float64Array(model.dim), mersenneTwister(5)];
  model.gradient(x, full, g);
  const product = (v, out) => model.product(full, v, out);
  const random = () => Float64Array.from(g, () => word() / 2 ** 32 - 0.5);
  const { vectors } = topSpectrum(product, model.dim, { count: 10, rtol: 0.01, most: 400, start: [], random });
  const sign = () => (word() & 1 ? 1 : -1);
  const distances = Array.from({ length: 200 }, () => {
    const { value, error } = hutchinson(product, { vectors, probes: 16, sign, dim: model.dim });
    return (value - trace) / error;
  });
  const within = (most) => distances.filter((each) => Math.abs(each) < most).length;
  // Student's t with 15 degrees of freedom: 133.4 ± 6.7 of 200 within one error, 199 ± 1 within 3.3.
  assert.ok(Math.abs(within(1) - 133.4) < 27, `${within(1)} of 200 within one error`);
  assert.ok(within(3.3) >= 195, `${within(3.3)} of 200 within 3.3 errors`);
  // The mean of 200 has an error of 0.076.
  assert.ok(Math.abs(distances.reduce((a, b) => a + b) / 200) < 0.3);
});

test("so does a run, with random signs of its own each time", () => {
  const { settings, rule, steps, trace } = expected.points[1];
  const run = openRun({ ...settings, precision: "float32" });
  run.step(rule, steps);
  const found = Array.from({ length: 5 }, () => run.measure({ eigenvalues: 0, trace: 30 }).trace);
  for (const { value, error } of found) assertWithin(value, trace, 5 * error);
  assert.equal(new Set(found.map(({ value }) => value)).size, 5);
});

/** A diagonal matrix by its products, with random vectors beside it. */
function diagonal(values) {
  const product = (v, out) => values.forEach((value, i) => (out[i] = value * v[i]));
  let state = 1;
  const uniform = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) - 0.5;
  return { product, random: () => Float64Array.from(values, uniform), uniform };
}

test("tied, negative and few eigenvalues are found", () => {
  const cases = [
    Array.from({ length: 300 }, (_, i) => (i < 12 ? 5 : -i / 100)), // a twelvefold tie
    Array.from({ length: 300 }, (_, i) => -1 - i), // all negative
    [3, 2, 1], // fewer than ten
    Array.from({ length: 10 }, () => 0),
  ];
  for (const values of cases) {
    const { product, random } = diagonal(values);
    const options = { count: 10, rtol: 1e-6, most: 2000, start: [], random };
    const found = topSpectrum(product, values.length, options);
    const sorted = Float64Array.from(values).sort().reverse().slice(0, 10);
    assertClose(found.values, sorted, { rtol: 1e-5, atol: 1e-12 });
    found.vectors.forEach((v, i) =>
      found.vectors.forEach((w, j) => assertWithin(inner(v, w), i === j ? 1 : 0, 1e-9)),
    );
  }
});

test("an eigenvector that comes up anew is found from a warm start", () => {
  const old = Array.from({ length: 200 }, (_, i) => 20 - i / 10);
  const { product, random } = diagonal(old);
  const options = { count: 10, rtol: 1e-3, most: 2000, random };
  const { kept } = topSpectrum(product, 200, { ...options, start: [] });
  const risen = diagonal(old.with(150, 30));
  const found = topSpectrum(risen.product, 200, { ...options, start: kept });
  assertNear(found.values[0], 30, 1e-3);
  assert.ok(found.products < 60, `${found.products} products`);
});

test("Hutchinson's estimate is exact on the vectors that are given", () => {
  const values = [9, 4, 1, 0.5, 0.25];
  const { product, uniform } = diagonal(values);
  const vectors = [0, 1, 2, 3, 4].map((i) => Float64Array.from(values, (_, j) => (i === j ? 1 : 0)));
  const sign = () => (uniform() < 0 ? -1 : 1);
  const exact = hutchinson(product, { vectors, probes: 3, sign, dim: 5 });
  assertNear(exact.value, 14.75, 1e-12);
  assertWithin(exact.error, 0, 1e-12);
});

test("all eigenpairs of small matrices are numpy's", () => {
  for (const { n, matrix, values } of expected.matrices) {
    const rows = () => Array.from({ length: n }, (_, i) => matrix.slice(i * n, (i + 1) * n));
    const found = eigenpairs(rows());
    const size = Math.max(...values.map(Math.abs));
    assertClose(found.map(({ value }) => value), values, { rtol: 0, atol: 1e-13 * size });
    for (const { value, vector } of found) {
      assertNear(Math.hypot(...vector), 1, 1e-12);
      const residual = rows().map((row, i) => inner(row, vector) - value * vector[i]);
      assertWithin(Math.hypot(...residual), 0, 1e-12 * size);
    }
  }
});

test("the edge of stability is 2/η without a radius, and lower with one", () => {
  assert.equal(edgeOfStability(0.1, 0, 0.3), 20);
  assertNear(edgeOfStability(0.1, 1e-12, 0.3), 20, 1e-9);
  assert.ok(edgeOfStability(0.1, 0.1, 0.3) < 10);
});
