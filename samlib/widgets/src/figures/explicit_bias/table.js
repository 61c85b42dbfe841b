// The numbers behind the pictures of the figure "ExplicitBias".

import { approachFrom } from "../../dynamics/limiting-regularizers.js";
import { tableOfColumns } from "../../shared/take-away/table.js";

const UNITS =
  "approach, the side of x′ in degrees, the one shown last; u3, u4, direction of the gradient there; half_curvature = ½uᵀ∇²L u, " +
  "what R^Asc/ρ² tends to; the limiting regularizers S^Max, S^Asc (its least value) and S^Avg at x";

/** So many sides, from 0° to 90°. */
const SIDES = Array.from({ length: 19 }, (_, i) => 5 * i);

/** @param {import("./view.js").View} view */
export function tableOf({ state: { point, approach }, here }) {
  const sides = [...SIDES, approach];
  const found = sides.map((side) => approachFrom(point[0], point[1], side));
  const all = (/** @type {number} */ value) => sides.map(() => value);
  return tableOfColumns(UNITS, {
    approach: sides,
    u3: found.map(({ u }) => u[0]),
    u4: found.map(({ u }) => u[1]),
    half_curvature: found.map(({ value }) => value),
    S_max: all(here.worst),
    S_asc: all(here.ascent),
    S_avg: all(here.average),
  });
}
