// The few WebAssembly instructions that the kernels need, and the binary format around them (WebAssembly Core
// Specification 2.0, chapter 5). An expression is the list of its bytes; helpers put expressions together.

/** @typedef {number[]} Code */

/** An unsigned number in LEB128. @param {number} n @returns {Code} */
const unsigned = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...unsigned(n >>> 7)]);

/** A signed one. @param {number} n @returns {Code} */
const signed = (n) => (n >= -64 && n < 64 ? [n & 127] : [(n & 127) | 128, ...signed(n >> 7)]);

const [I32, V128, NOTHING] = [0x7f, 0x7b, 0x40];

/** @param {number} opcode @returns {(...operands: Code[]) => Code} */
const plain = (opcode) => (...operands) => [...operands.flat(), opcode];

/** @param {number} opcode @returns {(...operands: Code[]) => Code} */
const simd = (opcode) => (...operands) => [...operands.flat(), 0xfd, ...unsigned(opcode)];

export const i32 = {
  /** @param {number} n */
  const: (n) => [0x41, ...signed(n)],
  /** @param {Code} address */
  load: (address) => [...address, 0x28, 2, 0],
  add: plain(0x6a),
  sub: plain(0x6b),
  mul: plain(0x6c),
  shl: plain(0x74),
  /** Is it negative? @param {Code} n */
  negative: (n) => [...n, ...i32.const(0), 0x48],
};

/** The entries of four numbers of 32 bits, side by side. */
export const f32x4 = {
  /** @param {Code} address @param {number} [offset] in bytes */
  load: (address, offset = 0) => [...address, 0xfd, 0x00, 4, ...unsigned(offset)],
  /** One number, four times. @param {Code} address */
  loadSplat: (address) => [...address, 0xfd, 0x09, 2, 0],
  /** @param {Code} address @param {Code} value @param {number} [offset] */
  store: (address, value, offset = 0) => [...address, ...value, 0xfd, 0x0b, 4, ...unsigned(offset)],
  /** The sum of the four, at an address. @param {Code} address @param {number} value the local that holds them @param {boolean} add to what is there */
  storeSum(address, value, add) {
    const lane = (/** @type {number} */ n) => [...get(value), 0xfd, 0x1f, n];
    const sum = [...lane(0), ...lane(1), 0x92, ...lane(2), ...lane(3), 0x92, 0x92];
    return [...address, ...(add ? [...address, 0x2a, 2, 0, ...sum, 0x92] : sum), 0x38, 2, 0];
  },
  /** @param {number} x */
  const: (x) => [0x43, ...new Uint8Array(new Float32Array([x]).buffer), 0xfd, 0x13],
  add: simd(0xe4),
  sub: simd(0xe5),
  mul: simd(0xe6),
  div: simd(0xe7),
  /** Not a number stays what it is where it is the first. */
  min: simd(0xea),
  max: simd(0xeb),
  nearest: simd(0x6a),
  toInteger: simd(0xf8),
};

export const i32x4 = {
  /** @param {number} n */
  const: (n) => [...i32.const(n), 0xfd, 0x11],
  add: simd(0xae),
  /** @param {Code} value @param {number} bits */
  shl: (value, bits) => [...value, ...i32.const(bits), 0xfd, ...unsigned(0xab)],
};

/** @param {number} local @returns {Code} */
export const get = (local) => [0x20, ...unsigned(local)];
/** @param {number} local @param {Code} value @returns {Code} */
export const set = (local, value) => [...value, 0x21, ...unsigned(local)];
/** @param {number} local @param {Code} value @returns {Code} */
export const increase = (local, value) => set(local, i32.add(get(local), value));

/** Repeat while the local is below an end (as unsigned numbers). @param {number} local @param {Code} end @param {Code} body */
export const whileBelow = (local, end, body) => repeat([...get(local), ...end, 0x49], body);
/** Repeat while the local is no less than a number (signed). @param {number} local @param {number} least @param {Code} body */
export const whileAtLeast = (local, least, body) => repeat([...get(local), ...i32.const(least), 0x4e], body);

/** @param {Code} condition @param {Code} body @returns {Code} */
const repeat = (condition, body) =>
  [0x02, NOTHING, 0x03, NOTHING, ...condition, 0x45, 0x0d, 1, ...body, 0x0c, 0, 0x0b, 0x0b]; // prettier-ignore

/** @param {Code} condition @param {Code} yes @param {Code} no @returns {Code} */
export const choose = (condition, yes, no) => [...condition, 0x04, NOTHING, ...yes, 0x05, ...no, 0x0b];

/** Blocks of bytes in memory. */
export const memory = {
  /** @param {Code} to @param {Code} from @param {Code} size */
  copy: (to, from, size) => [...to, ...from, ...size, 0xfc, 10, 0, 0],
  /** @param {Code} to @param {Code} size */
  clear: (to, size) => [...to, ...i32.const(0), ...size, 0xfc, 11, 0],
};

/**
 * A function of 32-bit integers without a result.
 *
 * @typedef {object} Kernel
 * @property {string} name
 * @property {number} parameters
 * @property {(local: {i32: () => number, v128: () => number}) => Code} body; parameters are the locals 0, 1, …
 */

/** @param {Kernel} kernel @returns {Code} its code, with its length before it */
function assembled({ parameters, body }) {
  /** @type {number[]} */
  const types = [];
  const local = (/** @type {number} */ type) => parameters + types.push(type) - 1;
  const code = body({ i32: () => local(I32), v128: () => local(V128) });
  const declared = [...unsigned(types.length), ...types.flatMap((type) => [1, type])];
  return counted([...declared, ...code, 0x0b]);
}

/** @param {Code} bytes */
const counted = (bytes) => [...unsigned(bytes.length), ...bytes];
/** @param {number} id @param {Code} content */
const section = (id, content) => [id, ...counted(content)];
/** @param {Code[]} entries */
const list = (entries) => [...unsigned(entries.length), ...entries.flat()];
/** @param {string} text */
const name = (text) => counted([...text].map((letter) => letter.charCodeAt(0)));

/** A module that exports the kernels; they work on the memory "memory" of the import "page". @param {Kernel[]} kernels */
export function assemble(kernels) {
  const types = kernels.map(({ parameters }) => [0x60, ...list(Array(parameters).fill([I32])), 0]);
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, list(types)),
    ...section(2, list([[...name("page"), ...name("memory"), 0x02, 0, 0]])),
    ...section(3, list(kernels.map((_, i) => unsigned(i)))),
    ...section(7, list(kernels.map((kernel, i) => [...name(kernel.name), 0, ...unsigned(i)]))),
    ...section(10, list(kernels.map(assembled))),
  ]); // prettier-ignore
}
