// The limiting regularizers of the figure "ExplicitBias" against samlib.

import { test } from "node:test";
import { approachFrom, limitingRegularizers } from "../../../samlib/widgets/src/dynamics/limiting-regularizers.js";
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
}
