// The run from the chosen start: its path, where it ends, and the cycle in which it does.

import { makeRule } from "../../dynamics/rules.js";
import { CELL, createFollower } from "./ends.js";

/** @typedef {import("./ends.js").Task} Task */

/**
 * @typedef {object} Run
 * @property {Float64Array} x all iterates, one after the other
 * @property {number} dim
 * @property {number} label of its end
 * @property {number} arrival the step at which it came there
 * @property {number[]} where
 * @property {number[][]} cycle the last iterate and the next, the coordinates of the map
 * @property {number[][]} climbs where SAM looks from these two
 * @property {boolean} returns does the second next iterate come back to the last?
 */

/** @param {Task} task @param {number[]} start @returns {Run} */
export function runFrom(task, start) {
  const { loss, follow } = createFollower(task);
  const { landscape } = loss;
  const { dim } = landscape;
  const cell = new Float32Array(CELL);
  follow(start[0], start[1], cell, 0);
  const x = new Float64Array((task.steps + 3) * dim);
  x.set([...start, ...task.across].slice(0, dim));
  makeRule(landscape, task.method, task)(x, 0, task.steps + 2, 0);
  const at = (/** @type {number} */ t) => x.subarray(t * dim, (t + 1) * dim);
  const last = [0, 1, 2].map((i) => at(task.steps + i));
  const size = distance(last[0], last[1]);
  return {
    x, dim, label: cell[0], arrival: cell[1], where: [cell[2], cell[3]],
    cycle: last.slice(0, 2).map((p) => [p[0], p[1]]),
    climbs: task.method === "gradient_descent" ? [] : last.slice(0, 2).map((p) => climb(landscape, p, task.rho)),
    returns: distance(last[0], last[2]) <= 1e-3 * size,
  }; // prettier-ignore
}

/** @param {Float64Array} a @param {Float64Array} b */
const distance = (a, b) => Math.hypot(...a.map((v, i) => v - b[i]));

/** Where SAM looks from a point. @param {import("./losses.js").Landscape} landscape @param {Float64Array} x @param {number} rho */
function climb(landscape, x, rho) {
  const grad = new Float64Array(x.length);
  landscape.gradient(x, 0, grad);
  const size = Math.hypot(...grad);
  return [0, 1].map((i) => x[i] + (size > 0 ? (rho * grad[i]) / size : rho / Math.sqrt(x.length)));
}
