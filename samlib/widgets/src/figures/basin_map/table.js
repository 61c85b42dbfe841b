// The numbers behind the map of the figure "BasinMap": a coarser map, in double precision.

import { makeRule } from "../../dynamics/rules.js";
import { coordinatesOf, tableOfColumns } from "../../shared/take-away/table.js";
import { CELL, LEFT, computeRows, createFollower } from "./ends.js";
import { nameOfLabel } from "./world.js";

/** @typedef {import("./ends.js").Task} Task */

/** So many starts a side: more would take seconds. @param {{steps: number}} task */
export const sideOf = ({ steps }) => (steps > 4000 ? 20 : 40);

const UNITS =
  "start, the middle of each of a number of squares of the map; last, where the run is after all steps; next, one step later; " +
  "label, which end that is; arrival, the last step at which it came to another one, looked at every 10 steps";

/** @param {import("./world.js").World} world */
export function tableOf({ task, loss, problem }) {
  if (!task || problem) return tableOfColumns(UNITS, { start_x1: [] });
  const { dim } = loss.landscape;
  const side = sideOf(task);
  const cells = new Float32Array(CELL * side * side);
  computeRows(createFollower(task), task, side, 0, side, cells);
  const each = Array.from({ length: side * side }, (_, k) => k);
  const starts = each.flatMap((k) => startOf(task, k, dim));
  const [last, next] = endsOf(task, loss, starts);
  const labels = each.map((k) => cells[CELL * k]);
  /** What has left is nowhere. @param {Float64Array} x */
  const there = (x) => x.map((value, at) => (labels[Math.floor(at / dim)] === LEFT ? NaN : value));
  return tableOfColumns(`${UNITS}${legendOf(loss, labels)}`, {
    ...coordinatesOf("start", starts, dim, each),
    ...coordinatesOf("last", there(last), dim, each),
    ...coordinatesOf("next", there(next), dim, each),
    label: labels,
    arrival: each.map((k) => cells[CELL * k + 1]),
  });
}

/** Rows of the map from the bottom to the top, each from left to right. @param {Task} task @param {number} k @param {number} dim */
function startOf(task, k, dim) {
  const { center, reach, across } = task;
  const side = sideOf(task);
  const part = (/** @type {number} */ n) => ((n + 0.5) / side) * 2 - 1;
  return [center[0] + reach * part(k % side), center[1] + reach * part(Math.floor(k / side)), ...across].slice(0, dim);
}

/** The last iterate from each start, and the one after it. @param {Task} task @param {import("./losses.js").Loss} loss @param {number[]} starts */
function endsOf(task, { landscape }, starts) {
  const { dim } = landscape;
  const advance = makeRule(landscape, task.method, task);
  const x = new Float64Array((task.steps + 2) * dim);
  const last = new Float64Array(starts.length);
  const next = new Float64Array(starts.length);
  for (let at = 0; at < starts.length; at += dim) {
    x.set(starts.slice(at, at + dim));
    advance(x, 0, task.steps + 1, 0);
    last.set(x.subarray(task.steps * dim, (task.steps + 1) * dim), at);
    next.set(x.subarray((task.steps + 1) * dim), at);
  }
  return [last, next];
}

/** What the labels mean. @param {import("./losses.js").Loss} loss @param {number[]} labels */
function legendOf({ kind, places }, labels) {
  const all = [...new Set(labels)].sort((a, b) => a - b);
  const shown = kind === "places" ? all : all.filter((label) => label === LEFT);
  return shown.map((label) => `; label ${label}: ${nameOfLabel(places, label)}`).join("");
}
