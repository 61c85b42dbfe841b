// The runs and limiting flows of the figure "OneLossThreeDestinations" against samlib.

import { test } from "node:test";
import { fourDimensional } from "../../../samlib/widgets/src/dynamics/four-dimensional.js";
import { componentDraws } from "../../../samlib/widgets/src/dynamics/random.js";
import { simulate } from "../../../samlib/widgets/src/dynamics/simulate.js";
import { flowFrom, project } from "../../../samlib/widgets/src/figures/one_loss/destinations.js";
import { assertClose, assertSameRun, expected } from "./expected.js";

for (const { name, options, seed, runs } of expected.runs) {
  for (const [method, x] of Object.entries(runs)) {
    test(`every iterate is samlib's: ${name}, ${method}`, () => {
      const draws = componentDraws(seed, options.steps);
      assertSameRun(simulate(fourDimensional(), method, { ...options, draws }).x, x, 4);
    });
  }
}

test("the limiting flows are samlib's", () => {
  const { start, times, landing, flows } = expected.flows;
  const ours = project(start);
  // The page stops at a distance of 1e-9 from Γ, after a quick method of fourth order.
  assertClose(ours, landing, { atol: 1e-7 });
  for (const [method, x] of Object.entries(flows)) {
    assertClose(times.flatMap((tau) => flowFrom(ours, method, tau)), x, { atol: 1e-6 });
  }
});
