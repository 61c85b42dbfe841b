// The runs and the multipliers of the figure "Thermostat" against samlib.

import assert from "node:assert/strict";
import { test } from "node:test";
import { normThrough } from "../../../samlib/widgets/src/figures/thermostat/multiplier.js";
import { createWorld } from "../../../samlib/widgets/src/figures/thermostat/world.js";
import { assertClose, assertSameRun, expected } from "./expected.js";

for (const { name, state, gradients, multipliers, balance, ranks } of expected) {
  const world = createWorld({ ...state });
  world.compute();

  test(`every iterate is samlib's: ${name}`, () => assertSameRun(world.gradients, gradients, 4));

  test(`the multipliers and their balance are samlib's: ${name}`, () => {
    const ours = Array.from({ length: state.steps + 1 }, (_, frame) => {
      world.state.frame = frame;
      return state.eigenvalues.map((lambda) => world.multiplier(lambda));
    });
    assertClose(ours.flat(), multipliers, { rtol: 1e-9, atol: 1e-9 });
    assert.deepEqual(world.ranks, ranks);
    assertClose([world.balance], balance, { rtol: 1e-14 });
  });
}

test("the curve passes through the point to which it is bent", () => {
  const options = { lr: 0.5, rho: 0.1 };
  for (const [lambda, m] of [[2, -1.3], [-1.5, 0.2], [0.4, 0.5]]) {
    const norm = normThrough(lambda, m, options);
    assertClose([1 - 0.5 * lambda - (0.05 * lambda ** 2) / norm], [m], { rtol: 1e-12 });
  }
  assert.equal(normThrough(1, 0.6, options), Infinity);
});
