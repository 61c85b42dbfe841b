// The arithmetic of the networks in float32, by the kernels in WebAssembly: buffers are views of its memory.

import { TrainingError } from "../errors.js";
import { assemble } from "./assembler.js";
import { KERNELS } from "./kernels.js";

/** @typedef {import("./plain.js").Arithmetic} Arithmetic */

const PAGE = 65_536;
const LINE = 64;

/** How much a buffer takes: whole lines of the cache. @param {number} length of 32-bit numbers */
const sizeOf = (length) => Math.ceil((4 * length) / LINE) * LINE;

/**
 * Build something from buffers. It is built twice, the first time to see how much memory it needs: memory that grows
 * would take all views with it.
 *
 * @template T
 * @param {(arithmetic: Arithmetic) => T} build
 * @returns {T}
 */
export function withSimd(build) {
  compileKernels(); // or says that they cannot be
  let needed = LINE;
  const count = (/** @type {number} */ length) => (needed += sizeOf(length));
  build({
    ...arithmeticOn(new WebAssembly.Memory({ initial: 1 })),
    alloc: (length) => (count(length), new Float32Array(0)),
    indices: ({ length }) => (count(length), new Int32Array(0)),
  });
  return build(arithmeticOn(new WebAssembly.Memory({ initial: Math.ceil(needed / PAGE) })));
}

/** @type {WebAssembly.Module | undefined} */
let compiled;

/** @throws {TrainingError} where there is no WebAssembly with SIMD, or the page's policy forbids it */
export function compileKernels() {
  try {
    compiled ??= new WebAssembly.Module(assemble(KERNELS));
  } catch {
    throw new TrainingError("no-webassembly");
  }
  return compiled;
}

/** @param {WebAssembly.Memory} memory @returns {Arithmetic} */
function arithmeticOn(memory) {
  const instance = new WebAssembly.Instance(compileKernels(), { page: { memory } });
  const kernels = /** @type {Record<string, (...numbers: number[]) => void>} */ (/** @type {unknown} */ (instance.exports));
  let used = LINE;
  const reserve = (/** @type {number} */ length) => (used += sizeOf(length)) - sizeOf(length);
  return {
    precision: "float32",
    alloc: (length) => new Float32Array(memory.buffer, reserve(length), length),
    indices(indices) {
      const out = new Int32Array(memory.buffer, reserve(indices.length), indices.length);
      out.set(indices);
      return out;
    },
    multiply: (m, n, k, a, b, c, add) =>
      kernels[add ? "addProduct" : "product"](m, n, k, a.byteOffset, 4 * k, 4, b.byteOffset, c.byteOffset),
    transposed: (m, n, k, a, b, c, add) =>
      kernels[add ? "addProduct" : "product"](m, n, k, a.byteOffset, 4, 4 * m, b.byteOffset, c.byteOffset),
    outer: (m, n, k, a, b, c, add) =>
      kernels[add ? "addOuter" : "outer"](m, n, k, a.byteOffset, b.byteOffset, c.byteOffset),
    tanh: (n, z) => kernels.tanh(n, z.byteOffset),
    slope: (n, d, h, out) => kernels.slope(n, d.byteOffset, h.byteOffset, out.byteOffset),
    bend: (n, d, h, dh, s, out) =>
      kernels.bend(n, d.byteOffset, h.byteOffset, dh.byteOffset, s.byteOffset, out.byteOffset),
    gather: (blocks, size, from, source, target) =>
      kernels.gather(blocks, 4 * size, from.byteOffset, source.byteOffset, target.byteOffset),
    scatter: (blocks, size, from, source, target) =>
      kernels.scatter(blocks, 4 * size, from.byteOffset, source.byteOffset, target.byteOffset),
  };
}
