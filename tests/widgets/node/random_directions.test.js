// The shares of the figure "RandomDirections" against samlib.

import { test } from "node:test";
import { averageShare, createDirections } from "../../../samlib/widgets/src/figures/random_directions/directions.js";
import { assertClose, assertWithin, expected } from "./expected.js";

test("the shares are samlib's, in whichever order dimensions are looked at", () => {
  const bySeed = new Map();
  for (const { dimension, seed, shares, average } of expected) {
    if (!bySeed.has(seed)) bySeed.set(seed, createDirections(seed));
    assertClose(bySeed.get(seed).shares(dimension), shares, { rtol: 1e-12 });
    assertWithin(averageShare(dimension), average, 1e-14);
  }
});
