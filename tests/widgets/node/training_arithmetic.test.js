// The kernels in WebAssembly against plain JavaScript, for shapes of every kind.

import assert from "node:assert/strict";
import { test } from "node:test";
import { assemble, f32x4, get, i32, set, whileBelow } from "../../../samlib/widgets/src/training/arithmetic/assembler.js";
import { plainArithmetic } from "../../../samlib/widgets/src/training/arithmetic/plain.js";
import { withSimd } from "../../../samlib/widgets/src/training/arithmetic/simd.js";
import { padded } from "../../../samlib/widgets/src/training/network/model.js";
import { assertClose } from "./expected.js";

let state = 1;
const uniform = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31) - 1;

/** Buffers in either kind of arithmetic, filled with the same numbers. */
function buffersIn(kind, numbers, indices = []) {
  const made = kind((arithmetic) => ({
    arithmetic,
    buffers: numbers.map(({ length }) => arithmetic.alloc(length)),
    indices: arithmetic.indices(indices),
    guard: arithmetic.alloc(4),
  }));
  made.buffers.forEach((buffer, i) => buffer.set(numbers[i]));
  made.guard.fill(7);
  return made;
}

const PLAIN = (build) => build(plainArithmetic());

/** Call one function of both kinds on the same numbers; the last buffer is compared, and nothing is written beyond it. */
function compare(lengths, call, { tolerance = { rtol: 1e-5, atol: 1e-5 }, from } = {}) {
  const numbers = lengths.map((length) => Float32Array.from({ length }, uniform));
  const [ours, plain] = [withSimd, PLAIN].map((kind) => {
    const { arithmetic, buffers, indices, guard } = buffersIn(kind, numbers, from);
    call(arithmetic, ...buffers, indices);
    assert.deepEqual(Array.from(guard), [7, 7, 7, 7], "it wrote beyond its matrix");
    return Array.from(buffers.at(-1));
  });
  assertClose(ours, plain, tolerance);
}

for (const add of [false, true]) {
  test(`products of matrices${add ? ", added" : ""}`, () => {
    for (const m of [1, 2, 3, 4, 5, 7, 10, 32]) {
      for (const k of [1, 2, 3, 9, 64]) {
        for (const n of [8, 24, 104]) {
          compare([m * k, k * n, m * n], (a, x, y, z) => a.multiply(m, n, k, x, y, z, add));
          compare([k * m, k * n, m * n], (a, x, y, z) => a.transposed(m, n, k, x, y, z, add));
          compare([m * n, k * n, m * k], (a, x, y, z) => a.outer(m, k, n, x, y, z, add));
        }
      }
    }
  });
}

test("products into part of a longer buffer leave the rest as it is", () => {
  compare([12, 24, 32], (a, x, y, z) => a.multiply(3, 8, 3, x, y, z, false));
});

test("entry by entry", () => {
  for (const n of [8, 40]) {
    for (const scale of [0.01, 1, 12]) {
      const stretched = (a, z) => {
        for (let i = 0; i < n; i++) z[i] *= scale;
        a.tanh(n, z);
      };
      compare([n], stretched, { tolerance: { rtol: 0, atol: 2e-7 } });
    }
    compare([n, n, n], (a, d, h, out) => a.slope(n, d, h, out));
    compare([n, n, n, n, n], (a, d, h, dh, s, out) => a.bend(n, d, h, dh, s, out));
    compare([n, n], (a, h, d) => a.slope(n, d, h, d));
  }
});

test("tanh keeps to ±1 far out, and lets what is no number pass", () => {
  const numbers = [1e30, -1e30, Infinity, -Infinity, NaN, 0, 20, -20];
  const { arithmetic, buffers } = buffersIn(withSimd, [numbers]);
  arithmetic.tanh(8, buffers[0]);
  assert.deepEqual(Array.from(buffers[0]), [1, -1, 1, -1, NaN, 0, 1, -1]);
});

test("blocks that are gathered, and scattered", () => {
  const from = [2, -1, 0, 2, 1, -1];
  compare([24, 48], (a, source, target, taps) => a.gather(6, 8, taps, source, target), { from });
  compare([48, 24], (a, source, target, taps) => a.scatter(6, 8, taps, source, target), { from });
});

test("numbers of every length are written as WebAssembly wants them", () => {
  const values = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 2 ** 31 - 1, -(2 ** 31)];
  for (const value of values) {
    const body = (local) => [...set(local.i32(), i32.const(value)), ...get(0), ...get(1), 0x36, 2, 0];
    const memory = new WebAssembly.Memory({ initial: 1 });
    const bytes = assemble([{ name: "f", parameters: 1, body }]);
    new WebAssembly.Instance(new WebAssembly.Module(bytes), { page: { memory } }).exports.f(8);
    assert.equal(new Int32Array(memory.buffer)[2], value);
  }
});

test("so is a module with many locals and a long body", () => {
  const body = (local) => {
    const many = Array.from({ length: 200 }, local.i32);
    const last = many.at(-1);
    return [
      ...many.flatMap((each) => set(each, i32.const(0))),
      ...whileBelow(last, i32.const(1000), set(last, i32.add(get(last), i32.const(300)))),
      ...get(0), ...get(last), 0x36, 2, 0,
      ...f32x4.store(get(0), f32x4.const(1.5), 4096),
    ]; // prettier-ignore
  };
  const memory = new WebAssembly.Memory({ initial: 1 });
  const bytes = assemble([{ name: "f", parameters: 1, body }]);
  new WebAssembly.Instance(new WebAssembly.Module(bytes), { page: { memory } }).exports.f(16);
  assert.equal(new Int32Array(memory.buffer)[4], 1200);
  assert.equal(new Float32Array(memory.buffer)[1031], 1.5);
});

test("columns are an odd multiple of eight, no less than the rows", () => {
  for (let rows = 1; rows < 400; rows++) {
    const columns = padded(rows);
    assert.ok(columns >= rows && columns < rows + 16 && columns % 16 === 8, `${rows} → ${columns}`);
  }
});
