// The ends of runs, the critical points and the derivatives of formulas of the figure "BasinMap" against samlib.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CELL, computeRows, createFollower } from "../../../samlib/widgets/src/figures/basin_map/ends.js";
import { read } from "../../../samlib/widgets/src/figures/basin_map/formulas.js";
import { runFrom } from "../../../samlib/widgets/src/figures/basin_map/run.js";
import { formulaLandscape } from "../../../samlib/widgets/src/figures/basin_map/tape.js";
import { assertClose, assertSameRun, assertWithin, expected } from "./expected.js";

const taskOf = (state) => ({ ...state, formula: state.loss === "formula" ? read(state.formula) : null });

for (const { name, state, side, label, arrival, where, trusted } of expected.maps) {
  test(`every start ends where samlib says: ${name}`, () => {
    const task = taskOf(state);
    const cells = new Float32Array(CELL * side * side);
    computeRows(createFollower(task), task, side, 0, side, cells);
    let [equal, all] = [0, 0];
    for (let i = 0; i < side * side; i++) {
      if (!trusted[i]) continue;
      all += 1;
      const near = Math.hypot(cells[CELL * i + 2] - where[2 * i], cells[CELL * i + 3] - where[2 * i + 1]) < 1e-3;
      equal += Number(cells[CELL * i] === label[i] && cells[CELL * i + 1] === arrival[i] && near);
    }
    assert.ok(all > 0.5 * side * side, `${all} of ${side * side} are away from borders`);
    assert.ok(equal >= 0.995 * all, `${equal} of ${all}`);
  });
}

for (const { name, state, x } of expected.runs) {
  test(`the path is samlib's: ${name}`, () => {
    const run = runFrom(taskOf(state), state.start);
    assertSameRun(run.x.subarray(0, x.length), x, run.dim);
  });
}

for (const { text, points, value, gradient, hessian, places } of expected.formulas) {
  test(`${text} has samlib's derivatives and critical points`, () => {
    const formula = read(text);
    const landscape = formulaLandscape(formula);
    const [g, h] = [new Float64Array(2), new Float64Array(4)];
    for (let i = 0; i < points.length; i += 2) {
      const x = Float64Array.of(points[i], points[i + 1]);
      landscape.gradient(x, 0, g);
      landscape.hessian(x, h);
      assertClose([landscape.value(x)], [value[i / 2]], { rtol: 1e-11, atol: 1e-12 });
      assertClose(g, gradient.slice(i, i + 2), { rtol: 1e-10, atol: 1e-11 });
      assertClose(h, hessian.slice(2 * i, 2 * i + 4), { rtol: 1e-9, atol: 1e-10 });
    }
    assert.deepEqual(formula.places.map(({ type }) => type), places.map(({ type }) => type));
    for (const [i, { x, radius }] of formula.places.entries()) {
      assertWithin(Math.hypot(x[0] - places[i].x[0], x[1] - places[i].x[1]), 0, 2e-6);
      assertWithin(radius, places[i].radius, 1e-5);
    }
  });
}

/** What is wrong, and what the sentence says of it. */
const WRONG = {
  "x +* 3": /^At character 4, “\* 3”: value expected\.$/,
  "(x + 1": /^At the end of the formula: parenthesis \) expected\.$/,
  "x^2 + z": /^At character 7, “z”: z is no variable; a formula has x, y, numbers/,
  "2x + y": /^At character 1, “2x \+ y”: a product needs its sign: 2 \* x\.$/,
  "3 + foo(y)": /^At character 5, “foo\(y\)”: foo is no function that is known/,
  "x = 3": /this is no part of a formula/,
  "x > 0 ? 1 : 2": /this is no part of a formula/,
  "[x, y]": /this is no part of a formula/,
  "x!": /this is no part of a formula/,
  "x;y": /this is no part of a formula/,
  "log(x, 2)": /^At character 1, “log\(x, 2\)”: log takes one number\.$/,
  "import(x)": /import is no function that is known/,
  "x.constructor": /this is no part of a formula/,
  "'x'": /this is no part of a formula/,
  " ": /^The formula is empty/,
  [`x + ${"y + ".repeat(60)}1`]: /^A formula may have 200 characters; this one has \d+\.$/,
};

for (const [text, said] of Object.entries(WRONG)) {
  test(`a formula is refused with a sentence that says where: ${text.slice(0, 20)}`, () => {
    assert.throws(() => read(text), { name: "SyntaxError", message: said });
  });
}
