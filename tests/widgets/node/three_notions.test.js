// The three notions of the figure "ThreeNotions" against samlib.

import { test } from "node:test";
import { curvedValley, doubleWell, quadratic } from "../../../samlib/widgets/src/dynamics/landscapes.js";
import { notions } from "../../../samlib/widgets/src/figures/three_notions/notions.js";
import { assertClose, assertWithin, expected } from "./expected.js";

const landscapeOf = (loss, spectrum) =>
  spectrum ? quadratic(spectrum) : loss === "saddle" ? doubleWell() : curvedValley();

for (const { loss, point, rho, spectrum, sharpness, predicted, value, slope, profile } of expected) {
  test(`the page and samlib measure the same: ${loss} at ${point}, ρ = ${rho}`, () => {
    const ours = notions(landscapeOf(loss, spectrum), point, rho);
    const scale = Math.max(...Object.values(sharpness).map(Math.abs));
    for (const kind of ["worst", "ascent", "average"]) {
      assertWithin(ours[kind].sharpness, sharpness[kind], 1e-10 * scale);
      assertWithin(ours[kind].predicted, predicted[kind], 1e-10 * scale);
    }
    assertWithin(ours.loss, value, 1e-14);
    assertWithin(ours.slope, slope, 1e-12);
    assertClose(ours.profile, profile, { atol: 1e-12 });
  });
}
