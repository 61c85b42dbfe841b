// The limiting regularizers of the figure "ExplicitBias" against samlib.

import { test } from "node:test";
import { approachFrom, limitingRegularizers } from "../../../samlib/widgets/src/dynamics/limiting-regularizers.js";
import { arrivalsFrom } from "../../../samlib/widgets/src/figures/explicit_bias/arrivals.js";
import { assertClose, assertNear, expected } from "./expected.js";

for (const { point, regularizers, sides } of expected) {
  test(`the limiting regularizers are samlib's at ${point}`, () => {
    const ours = limitingRegularizers(...point);
    for (const [notion, value] of Object.entries(regularizers)) assertNear(ours[notion], value, 1e-10);
  });

  test(`the ascent sharpness is samlib's from every side of ${point}`, () => {
    for (const { angle, value, direction } of sides) {
      const ours = approachFrom(...point, angle);
      assertNear(ours.value, value, 1e-10);
      assertClose(ours.u, direction, { atol: 1e-8 });
    }
  });

  test(`the runs from x′ are samlib's from every side of ${point}`, () => {
    for (const { angle, arrivals } of sides) {
      const ours = arrivalsFrom(point, angle);
      for (const [method, { x, u, half_curvature }] of Object.entries(arrivals)) {
        assertClose(ours[method].x, x, { atol: 1e-14 });
        assertClose(ours[method].u, u, { atol: 1e-9 });
        assertClose(ours[method].halfCurvature, half_curvature, { rtol: 1e-9 });
      }
    }
  });
}
