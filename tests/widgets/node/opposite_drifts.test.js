// The runs, draws and limiting flows of the figure "OppositeDrifts" against samlib.

import { test } from "node:test";
import { batchWeights } from "../../../samlib/widgets/src/dynamics/random.js";
import { simulate } from "../../../samlib/widgets/src/dynamics/simulate.js";
import { VALLEY_SLOPES, twoValleys, valleyFlow } from "../../../samlib/widgets/src/dynamics/two-valleys.js";
import { assertClose, assertSameRun, expected } from "./expected.js";

for (const { name, options, seed, batch_size, runs } of expected.runs) {
  for (const [method, x] of Object.entries(runs)) {
    test(`every run is samlib's: ${name}, ${method}`, () => {
      const sizes = { mini_batch: batch_size, one_sam: 1 };
      const weights = method in sizes ? batchWeights(seed, sizes[method], options.steps) : undefined;
      const rule = method in sizes ? "mini_batch" : method;
      assertSameRun(simulate(twoValleys(), rule, { ...options, weights }).x, x, 3);
    });
  }
}

for (const { seed, size, steps, weights } of expected.weights) {
  test(`the draws are Python's: batches of ${size}`, () => {
    assertClose(batchWeights(seed, size, steps), weights, { rtol: 1e-7, atol: 1e-7 });
  });
}

for (const { start, regularizer, times, x } of expected.flows) {
  test(`the flow of ${regularizer} from ${start} is samlib's`, () => {
    const ours = times.map((t) => valleyFlow(start, VALLEY_SLOPES[regularizer], t));
    assertClose(ours, x, { rtol: 0, atol: 1e-6 });
  });
}
