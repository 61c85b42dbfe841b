// What the figure "SpectrumInTraining" reads and computes, against Python.

import assert from "node:assert/strict";
import { test } from "node:test";
import { edgeOfStability, readSweep } from "../../../samlib/widgets/src/figures/spectrum_in_training/sweep.js";
import { assertClose, assertNear, expected } from "./expected.js";

test("the page decodes what Python stored", () => {
  const { tables, edges, at } = readSweep(expected.sent);
  assert.deepEqual(Object.keys(tables).sort(), Object.keys(expected.arrays).sort());
  for (const [name, { values, size }] of Object.entries(expected.arrays)) {
    // Counts to the last; of what is stored by its logarithm, exp may differ in a digit.
    if (name === "counts") assert.deepEqual(Array.from(tables[name].values), Array.from(values), name);
    else assertClose(Array.from(tables[name].values), Array.from(values), { rtol: 1e-14 });
    assert.equal(tables[name].size, size, name);
  }
  assertClose(edges, expected.edges, { rtol: 1e-12 });
  for (const { where, value } of expected.some) assertNear(at(...where), value, 1e-14);
});

test("the page has Python's edge of stability", () => {
  for (const { lr, rho, norm, edge } of expected.stability) assertNear(edgeOfStability(lr, rho, norm), edge, 1e-12);
});
