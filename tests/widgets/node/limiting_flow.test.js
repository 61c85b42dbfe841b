// What the figure "LimitingFlow" computes, against samlib.

import assert from "node:assert/strict";
import { test } from "node:test";
import { flowAt, limitingFlow } from "../../../samlib/widgets/src/dynamics/flow.js";
import { keepingMixture, partingMixture } from "../../../samlib/widgets/src/dynamics/ties.js";
import { interpolatingNetwork } from "../../../samlib/widgets/src/dynamics/network.js";
import { createQueue } from "../../../samlib/widgets/src/figures/limiting_flow/laboratory.js";
import { errorOf, fittedNetwork, limitingFlows, train } from "../../../samlib/widgets/src/figures/limiting_flow/training.js";
import { assertClose, assertNear, assertSameRun, expected } from "./expected.js";

/** A whole run. */
function courseOf(settings, fit = fittedNetwork(settings.network)) {
  let course;
  for (course of train(fit, settings));
  return course;
}

for (const { name, settings, steps, times, x, curvature, alignment } of expected.runs) {
  test(`every iterate is samlib's, and what is measured there: ${name}`, () => {
    const course = courseOf(settings);
    const last = course.x.length - 50;
    assert.deepEqual(course.steps, Array.from(steps));
    assertClose(course.tau, times, { rtol: 1e-15 });
    assertSameRun(course.x, x, 50);
    const moved = Math.hypot(...course.x.slice(last).map((v, i) => v - course.x[i]));
    assert.ok(moved > 5e-4 * Math.hypot(...x.slice(0, 50)));
    if (!curvature) return;
    // The page goes straight to Γ where samlib follows gradient flow: they differ by the square of the distance,
    // which is some thousandths.
    for (const regularizer of ["top_eigenvalue", "trace"]) {
      assertClose(course[regularizer], curvature[regularizer], { rtol: 3e-4 });
    }
    assertClose(course.alignment, alignment, { atol: 1e-6 });
  });
}

test("the alignment is that of the dense Hessian", () => {
  const { settings, cosine } = expected.dense;
  const { alignment } = courseOf(settings);
  assertClose(alignment, cosine, { atol: 1e-8 });
  assert.ok(Math.min(...alignment) < 0.5 && Math.max(...alignment) > 0.95);
});

for (const { network, time, times, flows } of expected.flows) {
  test(`both flows are samlib's: network ${network}`, () => {
    const ours = limitingFlows(fittedNetwork(network), time);
    for (const [name, theirs] of Object.entries(flows)) {
      // They begin at slightly different points of Γ, as above.
      for (const what of ["top_eigenvalue", "trace"]) {
        assertClose(Array.from(times, (t) => flowAt(ours[name], what, t)), theirs[what], { rtol: 3e-4 });
      }
    }
  });
}

test("from one point the flows agree closely", () => {
  const { seed, x, times, flows } = expected.fromOnePoint;
  const { network } = interpolatingNetwork(seed);
  for (const [name, values] of Object.entries(flows)) {
    const flow = limitingFlow(network, x, name, times.at(-1));
    assertClose(times.map((t) => flowAt(flow, name, t)), values, { rtol: 1e-6 });
  }
});

for (const { seed, inputs, targets, weights } of expected.networks) {
  test(`a seed means the same network as in samlib: ${seed}`, () => {
    const found = interpolatingNetwork(seed);
    assertClose(found.network.inputs, inputs, { rtol: 0, atol: 1e-15 });
    assertClose(found.network.targets, targets, { rtol: 0, atol: 1e-15 });
    assertClose(found.weights, weights, { rtol: 0, atol: 1e-15 });
  });
}

test("loss and curvature are samlib's", () => {
  const { seed, x, v, value, product, hessian, input, output } = expected.curvature;
  const { network } = interpolatingNetwork(seed);
  const image = new Float64Array(50);
  network.hessianVectorProduct(x, 0, v, image);
  const matrix = new Float64Array(2500);
  network.hessian(x, matrix);
  assertNear(network.value(x), value, 1e-13);
  assertClose(image, product, { atol: 1e-13 });
  assertClose(matrix, hessian, { atol: 1e-13 });
  assertNear(network.output(x, input), output, 1e-13);
});

test("a tie is kept by the mixture that makes the slopes shortest, or left by one of rank one", () => {
  for (const { slopes, keeping, parting } of expected.mixtures) {
    const vectors = slopes.map((slope) => Float64Array.from(slope));
    assertClose(keepingMixture(vectors, keeping.length === 4 ? 2 : 3), keeping, { rtol: 1e-10 });
    if (parting) assertClose(partingMixture(vectors), parting, { rtol: 1e-8 });
  }
});

test("batches of two amplify rounding, and the full batch does not", () => {
  const distance = (size) => {
    const ends = [0, 1e-15].map((shift) => {
      const fit = fittedNetwork(0);
      fit.fitted[0] += shift;
      return courseOf({ ...expected.rounding, batch_size: size }, fit).x.slice(-50);
    });
    return Math.hypot(...ends[0].map((v, i) => v - ends[1][i]));
  };
  assert.ok(Math.max(distance(1), distance(5)) < 1e-11);
  const two = distance(2);
  assert.ok(two > 1e-5 && two < 0.1);
});

test("a newer run takes the place of a long one, and a sweep waits", async () => {
  const [long, short, ...later] = expected.queue;
  const seen = [];
  await new Promise((done) => {
    const ask = createQueue(({ settings, course, swept, waiting }) => {
      seen.push([settings.rho, course.done, swept, waiting]);
      if (seen.length === 2) ask({ run: short });
      if (swept && waiting === 0 && course.done === 60) done();
    });
    ask({ run: long });
    ask({ sweep: later });
  });
  const finished = seen.filter((entry) => entry[1] === 60);
  assert.deepEqual(finished, [[0.2, 60, false, 2], [0.3, 60, true, 1], [0.4, 60, true, 0]]);
  assert.equal(seen[0][0], 0.005);
});

test("the distance of a run that leaves Γ is not a number", () => {
  const two = new Float64Array(241).fill(2);
  const flow = { horizon: 60, top_eigenvalue: two, rates: { top_eigenvalue: new Float64Array(241) } };
  const course = (top) => ({ tau: [0, 1, 2, 3], done: 3, top_eigenvalue: top });
  const errors = [[9, 2, 3, 2], [2, 2, NaN, 2], [2, 1, 2.5, 2]].map((top) =>
    errorOf(course(top), { top_eigenvalue: flow }, "top_eigenvalue"),
  );
  // What was before the first step does not count; where a run is lost, nothing is known.
  assert.deepEqual(errors, [0.5, NaN, 0.5]);
});
