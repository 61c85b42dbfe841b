// What the figure "LimitingFlow" computes, against samlib.

import assert from "node:assert/strict";
import { test } from "node:test";
import { flowAt, limitingFlow } from "../../../samlib/widgets/src/dynamics/flow.js";
import { createGamma } from "../../../samlib/widgets/src/dynamics/gamma.js";
import { lopsidedCycle } from "../../../samlib/widgets/src/dynamics/two-cycle.js";
import { keepingMixture, partingMixture } from "../../../samlib/widgets/src/dynamics/ties.js";
import { interpolatingNetwork } from "../../../samlib/widgets/src/dynamics/network.js";
import { createQueue } from "../../../samlib/widgets/src/figures/limiting_flow/laboratory.js";
import { meanPoint } from "../../../samlib/widgets/src/figures/limiting_flow/directions.js";
import { companyOf, errorOf, fittedNetwork, limitingFlows, train } from "../../../samlib/widgets/src/figures/limiting_flow/training.js";
import { assertClose, assertNear, assertSameRun, expected } from "./expected.js";

/** A whole run. */
function courseOf(settings, fit = fittedNetwork(settings.network)) {
  let course;
  for (course of train(fit, settings, companyOf(fit, settings)));
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

for (const { network: seed, x, rates, times, top_eigenvalue, trace } of expected.corrected) {
  test(`so does the flow of λ₁ at a finite rate and radius: network ${seed}, ${JSON.stringify(rates)}`, () => {
    const { network } = interpolatingNetwork(seed);
    const { lr, rho } = rates;
    const flow = limitingFlow(network, x, "top_eigenvalue", times.at(-1), { lr, rho: rho ?? undefined });
    for (const [name, values] of Object.entries({ top_eigenvalue, trace })) {
      // Where eigenvalues are tied, either flow knows λ₁ up to the gap at which they count as tied, 1e-4.
      const tolerance = { rtol: seed === 39 || seed === 147 ? 1e-5 : 1e-6 };
      assertClose(Array.from(times, (t) => flowAt(flow, name, t)), values, tolerance);
    }
  });
}

test("there is no flow at a rate above 2/λ₁", () => {
  const { network, onGamma } = fittedNetwork(0);
  const flow = limitingFlow(network, onGamma, "top_eigenvalue", 1, { lr: 3 });
  assert.ok([flowAt(flow, "trace", 0), flowAt(flow, "top_eigenvalue", 0.5)].every(Number.isNaN));
});

test("third derivatives of the loss on Γ are samlib's", () => {
  const { seed, x, vectors, thirds, slope } = expected.thirds;
  const gamma = createGamma(interpolatingNetwork(seed).network);
  gamma.look(x);
  const all = vectors.map((v) => Float64Array.from(v));
  for (const [n, v] of all.entries()) {
    const own = gamma.eigenvector(n);
    assertNear(Math.abs(own.reduce((sum, entry, i) => sum + entry * v[i], 0)), 1, 1e-12);
  }
  assertClose(gamma.thirds(x, all[0], all), thirds, { atol: 1e-10 });
  assertClose(gamma.slope(x, all[0], all[1]), slope, { atol: 1e-10 });
});

test("so is the lopsided two-cycle", () => {
  for (const { lr, rho, values, bend, reach, lopsidedness, swing } of expected.cycles) {
    const cycle = lopsidedCycle(Array.from(values), bend, lr, rho);
    assertNear(cycle.reach, reach, 1e-14);
    assertNear(cycle.lopsidedness, lopsidedness, 1e-14);
    assertClose(cycle.swing, swing, { rtol: 1e-12 });
  }
});

for (const { settings, tau, s1, s2, means, ...of } of expected.directions) {
  test(`directions in the tied plane are samlib's: network ${settings.network}`, () => {
    const { directions } = courseOf({ ...settings, panel: "plane" });
    assert.deepEqual([directions.counts, directions.since, directions.tied], [of.counts, of.since, of.tied]);
    assertClose(directions.tau, tau, { rtol: 1e-14 });
    // Between the times at which a plane is known it is interpolated, here between four times as many. Tied planes
    // keep their basis; v₁ and v₂ turn, the more the nearer they are to a tie, and there samlib is too coarse to compare.
    for (const [n, tied] of of.tied.entries()) {
      if (tied !== of.tied[Math.min(n + 3, 60)]) continue;
      const tolerance = { atol: tied > 1 ? 1e-4 : 1e-2 };
      const [from, to] = [of.counts[n], of.counts[n + 1]];
      assertClose(directions.s1.slice(from, to), s1.slice(from, to), tolerance);
      assertClose(directions.s2.slice(from, to), s2.slice(from, to), tolerance);
      assertClose(meanPoint(directions, n), means.slice(2 * n, 2 * n + 2), tolerance);
    }
    assertClose(directions.predicted, of.predicted, { rtol: 1e-4 });
  });
}

test("the tie's preset is a state of the figure", () => {
  const { network, flow, panels } = expected.presets.tie;
  assert.deepEqual([network, flow, ...panels], [39, "both", "plane"]);
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
