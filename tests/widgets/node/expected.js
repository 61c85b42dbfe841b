// What samlib expects, and comparisons with it as NumPy and pytest make them.

import assert from "node:assert/strict";
import fs from "node:fs";

/** @typedef {ArrayLike<number>} Numbers */

/** Arrays come as the bytes of their numbers. */
const revive = (_, value) => {
  if (typeof value?.float64 !== "string") return value;
  const bytes = Buffer.from(value.float64, "base64");
  const numbers = new Float64Array(bytes.length / 8);
  for (let i = 0; i < numbers.length; i++) numbers[i] = bytes.readDoubleLE(8 * i);
  return numbers;
};

export const expected = JSON.parse(fs.readFileSync(process.env.EXPECTED, "utf8"), revive);

/** The numbers of points, one point after the other. @param {Numbers} x @param {number} dim */
export const pointsOf = (x, dim) =>
  Array.from({ length: x.length / dim }, (_, t) => Array.from(x.slice(t * dim, (t + 1) * dim)));

/**
 * The largest ‖difference‖/‖point‖ over all points. Where samlib's numbers have all but run out, ours are 0.
 *
 * @param {Numbers} ours @param {Numbers} theirs @param {number} dim
 */
export function relativeError(ours, theirs, dim) {
  assert.equal(ours.length, theirs.length);
  let most = 0;
  for (let at = 0; at < theirs.length; at += dim) {
    let [difference, size] = [0, 0];
    for (let i = at; i < at + dim; i++) {
      difference += (ours[i] - theirs[i]) ** 2;
      size += theirs[i] ** 2;
    }
    const error = Math.sqrt(difference) / (Math.sqrt(size) > 1e-280 ? Math.sqrt(size) : 1);
    if (!(error <= most)) most = error; // NaN, too
  }
  return most;
}

/** Every point of a run is samlib's to ten digits. @param {Numbers} ours @param {Numbers} theirs @param {number} dim */
export const assertSameRun = (ours, theirs, dim) => {
  const error = relativeError(ours, theirs, dim);
  assert.ok(error <= 1e-10, `the largest relative error is ${error}`);
};

/** As numpy.testing.assert_allclose. @param {Numbers} ours @param {Numbers} theirs @param {{rtol?: number, atol?: number}} [tolerance] */
export function assertClose(ours, theirs, { rtol = 1e-7, atol = 0 } = {}) {
  assert.equal(ours.length, theirs.length);
  for (let i = 0; i < theirs.length; i++) {
    if (Object.is(ours[i], theirs[i])) continue; // NaN, too
    const off = Math.abs(ours[i] - theirs[i]);
    assert.ok(off <= atol + rtol * Math.abs(theirs[i]), `number ${i} is ${ours[i]}, not ${theirs[i]}`);
  }
}

/** As pytest.approx with a relative tolerance. @param {number} ours @param {number} theirs @param {number} rel */
export const assertNear = (ours, theirs, rel) => assertWithin(ours, theirs, Math.max(rel * Math.abs(theirs), 1e-12));

/** @param {number} ours @param {number} theirs @param {number} off */
export const assertWithin = (ours, theirs, off) =>
  assert.ok(Math.abs(ours - theirs) <= off, `${ours}, not ${theirs} ± ${off}`);
