// What the figure "Rescaling" computes of the rescaled network against samlib.

import assert from "node:assert/strict";
import { test } from "node:test";
import { largestEigenpair } from "../../../samlib/widgets/src/figures/rescaling/lanczos.js";
import { hessianAt, readTrained, scaling } from "../../../samlib/widgets/src/figures/rescaling/network.js";
import { DISTANCES, measure } from "../../../samlib/widgets/src/figures/rescaling/world.js";
import { assertClose, assertNear, expected } from "./expected.js";

const trained = readTrained(expected.network);

test("the weights and the digits are samlib's", () => {
  assertClose(trained.weights, expected.weights, { rtol: 0 });
  assertClose(trained.learned.inputs, expected.inputs, { rtol: 0, atol: 1e-15 });
  assertClose(DISTANCES, expected.distances, { rtol: 1e-13, atol: 1e-16 });
});

for (const { alpha, top, trace, profile, outputs, answers, product } of expected.cases) {
  const found = measure(trained, alpha);

  test(`sharpness, trace and answers are samlib's: α = ${alpha}`, () => {
    assertNear(found.top, top, 1e-4);
    assertNear(found.trace, trace, 1e-9);
    assertClose(found.outputs, outputs, { rtol: 0, atol: 1e-12 });
    assert.deepEqual(found.answers, answers);
  });

  test(`the loss along the top eigenvector is samlib's: α = ${alpha}`, () => {
    // Of a cluster of eigenvectors each may find another one; what is shown is the loss up to 3.
    const shown = Array.from(profile, (loss) => loss < 3);
    assertClose(found.profile.filter((_, k) => shown[k]), profile.filter((_, k) => shown[k]), expected.tolerance);
  });

  test(`the product with the Hessian is samlib's: α = ${alpha}`, () => {
    const factors = scaling(alpha);
    const x = trained.weights.map((weight, i) => weight * factors[i]);
    assertClose(hessianAt(x, trained.learned)(expected.direction), product, { rtol: 1e-8, atol: 1e-9 });
  });
}

test("Lanczos finds the largest eigenvalue, of a small matrix and of one with a double one, too", () => {
  for (const diagonal of [[3, -7, 2], [5, 5, 1, -2, 0.5], [2]]) {
    const { value, vector } = largestEigenpair(
      (v) => v.map((entry, i) => diagonal[i] * entry), Float64Array.from(diagonal, (_, i) => i + 1),
    );
    assertNear(value, Math.max(...diagonal), 1e-12);
    assertNear(Math.hypot(...vector), 1, 1e-12);
    diagonal.forEach((lambda, i) => assert.ok(lambda === value || Math.abs(lambda - value) < 1e-9 || Math.abs(vector[i]) < 1e-6));
  }
});
