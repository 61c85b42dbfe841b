// What is taken along from a figure, as far as it needs no browser: tables, Python, paths.

import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, scaleOf, times } from "../../../samlib/widgets/src/shared/take-away/matrix.js";
import { createPathData, piecesOf } from "../../../samlib/widgets/src/shared/take-away/path-data.js";
import { callOf, literal, real } from "../../../samlib/widgets/src/shared/take-away/python.js";
import { csvOf, inOrder, tableOfColumns } from "../../../samlib/widgets/src/shared/take-away/table.js";
import { expected } from "./expected.js";

test("a table holds every bit of its numbers", () => {
  const { numbers, written } = expected.table;
  const text = csvOf("A figure", tableOfColumns("units", { number: numbers }));
  const [comment, names, ...rows] = text.trimEnd().split("\n");
  assert.equal(comment, "# A figure. units");
  assert.equal(names, "number");
  rows.forEach((row, i) => {
    const value = { nan: NaN, inf: Infinity, "-inf": -Infinity }[row] ?? Number(row);
    assert.ok(Object.is(value, numbers[i]), `${row} is ${numbers[i]}`);
    assert.ok(row.length <= written[i].length + 3, `${row} has no digits too many, as ${written[i]}`);
  });
});

test("steps stand in their order, each once", () => {
  assert.deepEqual(inOrder([0, 1, 3, 2, 3, 9]), [[0, 0], [1, 1], [2, 3], [3, 4], [9, 5]]); // prettier-ignore
});

test("values are Python's", () => {
  for (const { value, text } of expected.literals) assert.equal(literal(value), text);
  assert.equal(real(3), "3.0");
  assert.equal(real(0.1), "0.1");
  assert.equal(real(1e-7), "1e-7");
});

test("a call names what differs, and what depends on it", () => {
  for (const { figure, state, presets, call } of expected.calls) assert.equal(callOf(figure, state, presets), call);
});

test("matrices are numpy's", () => {
  for (const { m, n, product, point, image, scale } of expected.matrices) {
    times(m, n).forEach((v, i) => assert.ok(Math.abs(v - product[i]) < 1e-12));
    apply(m, point[0], point[1]).forEach((v, i) => assert.ok(Math.abs(v - image[i]) < 1e-12));
    assert.ok(Math.abs(scaleOf(m) - scale) < 1e-12);
  }
});

test("a path is that of the canvas", () => {
  const path = createPathData();
  const twice = /** @type {const} */ ([2, 0, 0, 2, 1, 0]);
  path.calls.lineTo(twice, 1, 2);
  path.calls.lineTo(twice, NaN, 2);
  path.calls.lineTo(twice, 3, 4);
  path.calls.closePath(twice);
  assert.equal(path.text(), "M3 4L7 8Z");
  path.begin();
  path.calls.rect([1, 0, 0, 1, 0, 0], 1, 2, 3, 4);
  assert.equal(path.text(), "M1 2L4 2L4 6L1 6Z");
  path.begin();
  path.calls.arc(twice, 0, 0, 1, 0, 7);
  assert.equal(path.text(), "M3 0A2 2 0 0 1 -1 0A2 2 0 0 1 3 0");
  path.begin();
  path.calls.arc(twice, 0, 0, 1, 0, Math.PI / 2, true);
  assert.equal(path.text(), "M3 0A2 2 0 0 0 -0.41 -1.41A2 2 0 0 0 1 2");
});

test("a path that was given as a text keeps it", () => {
  const pieces = piecesOf([["addPath", [["text", "M0 0h1"]], [1, 0, 0, 1, 5, 6]], ["moveTo", 1, 2], ["lineTo", 3, 4]]);
  assert.deepEqual(pieces, [
    { d: "M1 2L3 4", matrix: [1, 0, 0, 1, 0, 0] },
    { d: "M0 0h1", matrix: [1, 0, 0, 1, 5, 6] },
  ]);
});
