// The runs of the figure "Alignment", and of 1-SAM, against samlib, iterate by iterate.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fourDimensional } from "../../../samlib/widgets/src/dynamics/four-dimensional.js";
import { quadratic } from "../../../samlib/widgets/src/dynamics/landscapes.js";
import { probe, shares } from "../../../samlib/widgets/src/dynamics/probe.js";
import { simulate } from "../../../samlib/widgets/src/dynamics/simulate.js";
import { invariantConditions } from "../../../samlib/widgets/src/dynamics/two-cycle.js";
import { twoValleys } from "../../../samlib/widgets/src/dynamics/two-valleys.js";
import { assertClose, assertSameRun, expected } from "./expected.js";

const LANDSCAPES = { quadratic, "two-valleys": twoValleys, "four-dimensional": fourDimensional };
const make = ({ landscape, spectrum }) => LANDSCAPES[landscape](spectrum);

for (const { name, rule, options, x, ...setting } of expected.runs) {
  test(`every iterate is samlib's: ${name}, ${rule}`, () => {
    const landscape = make(setting);
    const run = simulate(landscape, rule, options);
    assert.equal(run.records, options.steps + 1);
    assert.ok(run.x.every(Number.isFinite));
    assertSameRun(run.x, x, landscape.dim);
  });
}

for (const { name, draws, options, x, ...setting } of expected.one_sam) {
  test(`1-SAM with the same draws is samlib's: ${name}`, () => {
    const landscape = make(setting);
    const run = simulate(landscape, "one_sam", { ...options, draws });
    assertSameRun(run.x, x, landscape.dim);
  });
}

for (const { options, x, records } of expected.sparse) {
  test(`sparse records are samlib's: every ${options.every}`, () => {
    const run = simulate(fourDimensional(), "sam", options);
    assert.equal(run.records, records);
    assertSameRun(run.x, x, 4);
  });
}

for (const { name, x, alignment, ...setting } of expected.alignment) {
  test(`the alignment is samlib's: ${name}`, () => {
    const landscape = make(setting);
    const at = probe(landscape);
    const ours = Array.from(alignment, (_, t) => at.look(x, t * landscape.dim).alignment);
    assertClose(ours, alignment, { rtol: 0, atol: 1e-9 });
  });
}

test("a diverging run diverges alike", () => {
  const { options, x } = expected.diverging;
  assert.ok(Math.hypot(...x.slice(-2)) > 1e10);
  assertSameRun(simulate(quadratic([3, 1]), "sam", options).x, x, 2);
});

for (const { name, spectrum, options, shares: theirs, since } of expected.shares) {
  test(`shares and invariant set are samlib's: ${name}`, () => {
    const dim = spectrum.length;
    const loss = quadratic(spectrum);
    const { x, records } = simulate(loss, "sam", options);
    const met = invariantConditions(spectrum, options.lr, options.rho);
    const gradient = new Float64Array(dim);
    const ours = [];
    const conditions = [];
    for (let t = 0; t < records; t++) {
      loss.gradient(x, t * dim, gradient);
      ours.push(...shares(gradient, new Float64Array(dim)));
      conditions.push(met(x, t * dim));
    }
    assertClose(ours, theirs, { rtol: 1e-9, atol: 1e-300 });
    const entered = conditions.indexOf(dim);
    if (options.rho > 0) assert.equal(entered, since ?? -1);
    // Every condition once met stays so, not only all of them together.
    assert.deepEqual(conditions, conditions.toSorted((a, b) => a - b));
  });
}
