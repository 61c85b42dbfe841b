// Where runs end, computed on the page as samlib's figure does (samlib/widgets/figures/basin_map/model.py): rows of the
// map, one start after the other, and the one start that the reader has chosen.

import { makeRule } from "../../dynamics/rules.js";
import { constants } from "../../schema.js";
import { lossOf } from "./losses.js";

/** @typedef {import("./losses.js").Loss} Loss */

/**
 * What a map depends on.
 *
 * @typedef {object} Task
 * @property {string} loss
 * @property {"sam" | "gradient_descent" | "ascent_loss_descent"} method
 * @property {number} rho
 * @property {number} lr
 * @property {number} steps
 * @property {number[]} center of the map
 * @property {number} reach from its center to its sides
 * @property {number[]} across the coordinates that the map does not show
 * @property {import("./tape.js").Formula | null} formula
 * @property {number} asked when it was asked for (ms), which changes nothing
 */

const { check, far, rest, floor, arrived, sectors } = constants.basin_map;

/** What can become of a run, beside the numbers of the places. */
export const { slope: SLOPE, elsewhere: ELSEWHERE, left: LEFT } = constants.basin_map.labels;

/** Numbers of a cell of the map: its label, the step of its arrival, and where it ends. */
export const CELL = 4;

/**
 * The number of the place nearest to a point; ELSEWHERE if none is near.
 *
 * @param {import("./losses.js").Place[]} places @param {number} a @param {number} b
 */
export function placeAt(places, a, b) {
  let best = 0;
  let least = Infinity;
  for (let k = 0; k < places.length; k++) {
    const [x, y] = places[k].x;
    const square = (a - x) * (a - x) + (b - y) * (b - y);
    if (square < least) [best, least] = [k, square];
  }
  return Math.sqrt(least) < places[best].radius ? best : ELSEWHERE;
}

/**
 * Follow single runs to their ends.
 *
 * @param {Task} task
 */
export function createFollower(task) {
  const loss = lossOf(task.loss, task.formula);
  const { landscape } = loss;
  const { dim } = landscape;
  const advance = makeRule(landscape, task.method, task);
  const walk = new Float64Array((check + 1) * dim);
  const grad = new Float64Array(dim);
  const mark = createMarker(loss, grad);

  /** Is the run at the beginning of the walk still inside? */
  function isInside() {
    let square = 0;
    for (let i = 0; i < dim; i++) square += walk[i] * walk[i];
    return square < far * far;
  }

  /** Is the gradient at the beginning of the walk all but zero? What it has of a direction would only be lost. */
  function hasArrived() {
    landscape.gradient(walk, 0, grad);
    return grad.every((g) => Math.abs(g) < arrived);
  }

  /** Write label, arrival and end of the run from a start. @param {number} a @param {number} b @param {Float32Array} cells @param {number} at */
  function follow(a, b, cells, at) {
    walk[0] = a;
    walk[1] = b;
    for (let i = 2; i < dim; i++) walk[i] = task.across[i - 2];
    let before = mark(walk);
    let arrival = 0;
    let inside = true;
    for (let t = 0; t < task.steps && inside; t += check) {
      const count = Math.min(check, task.steps - t);
      if (loss.kind === "direction" && hasArrived()) break;
      advance(walk, 0, count, t);
      if (isBack(walk, dim, count)) break; // nothing changes any more
      walk.copyWithin(0, count * dim, (count + 1) * dim);
      inside = isInside();
      const now = inside ? mark(walk) : -1;
      if (now !== before) arrival = t + count;
      before = now;
    }
    conclude(cells, at, inside);
    cells[at + 1] = arrival;
  }

  /** Say what the walk's beginning is. @param {Float32Array} cells @param {number} at @param {boolean} inside */
  function conclude(cells, at, inside) {
    landscape.gradient(walk, 0, grad);
    const slope = Math.hypot(...grad);
    if (loss.kind === "direction") {
      const scale = Math.max(Math.abs(grad[0]), Math.abs(grad[1]));
      const [g1, g2] = [grad[0] / scale, grad[1] / scale];
      cells[at + 2] = (g1 * g1 - g2 * g2) / (g1 * g1 + g2 * g2);
      cells[at + 3] = (2 * g1 * g2) / (g1 * g1 + g2 * g2);
    }
    advance(walk, 0, 1, task.steps);
    let square = 0;
    for (let i = 0; i < dim; i++) square += (walk[dim + i] - walk[i]) ** 2;
    const [a, b] = [(walk[0] + walk[dim]) / 2, (walk[1] + walk[dim + 1]) / 2];
    if (loss.kind !== "direction") {
      cells[at + 2] = a;
      cells[at + 3] = dim === 3 ? 0 : b;
    }
    const rests = Math.sqrt(square) < rest * task.lr * slope && slope > rest;
    cells[at] = inside ? labelOf(loss, a, b, rests) : LEFT;
    if (!inside) cells.fill(0, at + 2, at + 4);
  }

  return { loss, follow };
}

/** @param {Loss} loss @param {number} a @param {number} b @param {boolean} rests on a slope */
function labelOf({ kind, places }, a, b, rests) {
  if (kind !== "places") return 0;
  return rests ? SLOPE : placeAt(places, a, b);
}

/**
 * What changes when a run comes to another place, to another direction, to the floor.
 *
 * @param {Loss} loss @param {Float64Array} grad to write in
 * @returns {(x: Float64Array) => number}
 */
function createMarker({ kind, landscape, places, floor: normal }, grad) {
  if (kind === "places") return (x) => placeAt(places, x[0], x[1]);
  if (kind === "valley") {
    return (x) => {
      let square = 0;
      for (const i of normal) square += x[i] * x[i];
      return Number(normal.length > 0 && square < floor * floor);
    };
  }
  return (x) => {
    landscape.gradient(x, 0, grad);
    const sector = Math.floor((Math.atan2(grad[1], grad[0]) * sectors) / Math.PI + 0.5);
    return ((sector % sectors) + sectors) % sectors;
  };
}

/** Has a walk come back to the same bits after an even number of steps? @param {Float64Array} walk @param {number} dim @param {number} count */
function isBack(walk, dim, count) {
  if (count % 2) return false;
  for (let i = 0; i < dim; i++) if (walk[i] !== walk[count * dim + i]) return false;
  return true;
}

/**
 * Compute rows of a map of size × size cells, from the bottom.
 *
 * @param {ReturnType<typeof createFollower>} follower @param {Task} task @param {number} size
 * @param {number} from @param {number} to rows @param {Float32Array} cells
 */
export function computeRows(follower, { center, reach }, size, from, to, cells) {
  const part = (/** @type {number} */ k) => ((k + 0.5) / size) * 2 - 1;
  for (let r = from; r < to; r++) {
    for (let c = 0; c < size; c++) {
      follower.follow(center[0] + reach * part(c), center[1] + reach * part(r), cells, CELL * (r * size + c));
    }
  }
}
