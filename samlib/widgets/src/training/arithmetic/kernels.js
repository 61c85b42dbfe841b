// The inner loops of the networks in WebAssembly SIMD: four float32 numbers at a time. They are put together here, by
// loops over tiles that a hand would have to write out, when a training is opened; no other tool is needed to build them.
//
// Why our own: benchmarks/training.py measured it. For the same full-batch step of SAM jax-js on its WASM backend takes about
// three times as long (for a product with the Hessian more than ten times), TensorFlow.js about nine times; their scripts
// have 330 and 770 kB, all of ours with the digits less than 70.

import { choose, f32x4, get, i32, i32x4, increase, memory, set, whileAtLeast, whileBelow } from "./assembler.js";

/** @typedef {import("./assembler.js").Code} Code */
/** @typedef {import("./assembler.js").Kernel} Kernel */

/** Bytes of four numbers. */
const FOUR = 16;

/** @param {number} count @param {(i: number) => Code} code */
const times = (count, code) => Array.from({ length: count }, (_, i) => code(i)).flat();

/** @param {number} count @param {() => number} make */
const several = (count, make) => Array.from({ length: count }, make);

/** The locals of products of matrices. @typedef {Record<string, number>} Scalars */

/**
 * C = A·B (and C += A·B) for m × n matrices C, n a multiple of 8: A's entry (i, l) is at a + i·down + l·along, B and C are
 * row-major. Tiles of 4 (2, 1) × 8 entries of C stay in registers while l runs.
 *
 * @param {string} name @param {boolean} add @returns {Kernel}
 */
const product = (name, add) => ({
  name,
  parameters: 8,
  body(local) {
    const [width, column, at, left] = several(4, local.i32);
    const v = { m: 0, n: 1, k: 2, a: 3, down: 4, along: 5, b: 6, c: 7, width, column, at, left };
    const tiles = productTiles(v, local, add);
    /** As many rows of this height as there are. @param {number} height */
    const strips = (height) =>
      whileAtLeast(v.m, height, [
        ...set(column, i32.const(0)),
        ...whileBelow(column, get(width), [...tiles(height), ...increase(column, i32.const(2 * FOUR))]),
        ...increase(v.a, i32.mul(get(v.down), i32.const(height))),
        ...increase(v.c, i32.mul(get(width), i32.const(height))),
        ...increase(v.m, i32.const(-height)),
      ]);
    return [...set(width, i32.shl(get(v.n), i32.const(2))), ...strips(4), ...strips(2), ...strips(1)];
  },
});

/**
 * The code of one tile, by its height.
 *
 * @param {Scalars} v @param {{i32: () => number, v128: () => number}} local @param {boolean} add
 */
function productTiles(v, local, add) {
  const [ofA, rows] = [several(4, local.i32), several(4, local.i32)];
  const sums = several(8, local.v128);
  const [b0, b1, factor] = several(3, local.v128);

  /** One term of each sum of the tile. @param {number} height */
  const term = (height) => [
    ...set(b0, f32x4.load(get(v.at))),
    ...set(b1, f32x4.load(get(v.at), FOUR)),
    ...times(height, (r) => [
      ...set(factor, f32x4.loadSplat(get(ofA[r]))),
      ...set(sums[2 * r], f32x4.add(get(sums[2 * r]), f32x4.mul(get(factor), get(b0)))),
      ...set(sums[2 * r + 1], f32x4.add(get(sums[2 * r + 1]), f32x4.mul(get(factor), get(b1)))),
      ...increase(ofA[r], get(v.along)),
    ]),
    ...increase(v.at, get(v.width)),
    ...increase(v.left, i32.const(-1)),
  ];

  return (/** @type {number} */ height) => [
    ...times(height, (r) => set(rows[r], i32.add(get(r ? rows[r - 1] : v.c), get(r ? v.width : v.column)))),
    ...times(2 * height, (s) => set(sums[s], add ? f32x4.load(get(rows[s >> 1]), FOUR * (s & 1)) : f32x4.const(0))),
    ...times(height, (r) => set(ofA[r], r ? i32.add(get(ofA[r - 1]), get(v.down)) : get(v.a))),
    ...set(v.at, i32.add(get(v.b), get(v.column))),
    ...set(v.left, get(v.k)),
    ...whileAtLeast(v.left, 1, term(height)),
    ...times(2 * height, (s) => f32x4.store(get(rows[s >> 1]), get(sums[s]), FOUR * (s & 1))),
  ];
}

/**
 * C = A·Bᵀ (and C += A·Bᵀ), with rows of A and B of length k, a multiple of 4. Tiles of 4 (1) × 2 (1) entries of C, each
 * the sum of four sums.
 *
 * @param {string} name @param {boolean} add @returns {Kernel}
 */
const outer = (name, add) => ({
  name,
  parameters: 6,
  body(local) {
    const [length, width, offset, others, row, to] = several(6, local.i32);
    const v = { m: 0, n: 1, k: 2, a: 3, b: 4, c: 5, length, width, offset, others, row, to };
    const { start, tile } = outerTiles(v, local, add);
    /** As many columns of the strip as there are. @param {number} height @param {number} across */
    const tiles = (height, across) =>
      whileAtLeast(others, across, [
        ...tile(height, across),
        ...increase(row, i32.mul(get(length), i32.const(across))),
        ...increase(to, i32.const(4 * across)),
        ...increase(others, i32.const(-across)),
      ]);
    /** @param {number} height */
    const strips = (height) =>
      whileAtLeast(v.m, height, [
        ...start(height),
        ...set(row, get(v.b)), ...set(to, get(v.c)), ...set(others, get(v.n)),
        ...tiles(height, 2), ...tiles(height, 1),
        ...increase(v.a, i32.mul(get(length), i32.const(height))),
        ...increase(v.c, i32.mul(get(width), i32.const(height))),
        ...increase(v.m, i32.const(-height)),
      ]); // prettier-ignore
    const bytes = (/** @type {number} */ count) => i32.shl(get(count), i32.const(2));
    return [...set(length, bytes(v.k)), ...set(width, bytes(v.n)), ...strips(4), ...strips(1)];
  },
});

/**
 * The code at the start of a strip, and that of one tile.
 *
 * @param {Scalars} v @param {{i32: () => number, v128: () => number}} local @param {boolean} add
 */
function outerTiles(v, local, add) {
  const [ofA, ofB] = [several(4, local.i32), several(2, local.i32)];
  const [sums, fours] = [several(8, local.v128), several(4, local.v128)];
  const four = local.v128();

  /** One term of each of the four sums of each entry. @param {number} height @param {number} across */
  const term = (height, across) => [
    ...times(height, (r) => set(fours[r], f32x4.load(i32.add(get(ofA[r]), get(v.offset))))),
    ...times(across, (s) => [
      ...set(four, f32x4.load(i32.add(get(ofB[s]), get(v.offset)))),
      ...times(height, (r) =>
        set(sums[2 * r + s], f32x4.add(get(sums[2 * r + s]), f32x4.mul(get(fours[r]), get(four)))),
      ),
    ]),
    ...increase(v.offset, i32.const(FOUR)),
  ];

  /** Where the entry (r, s) of the tile is. @param {number} r @param {number} s */
  const place = (r, s) => i32.add(get(v.to), i32.add(i32.mul(get(v.width), i32.const(r)), i32.const(4 * s)));

  return {
    start: (/** @type {number} */ height) =>
      times(height, (r) => set(ofA[r], r ? i32.add(get(ofA[r - 1]), get(v.length)) : get(v.a))),
    tile: (/** @type {number} */ height, /** @type {number} */ across) => [
      ...times(across, (s) => set(ofB[s], s ? i32.add(get(ofB[0]), get(v.length)) : get(v.row))),
      ...times(height, (r) => times(across, (s) => set(sums[2 * r + s], f32x4.const(0)))),
      ...set(v.offset, i32.const(0)),
      ...whileBelow(v.offset, get(v.length), term(height, across)),
      ...times(height, (r) => times(across, (s) => f32x4.storeSum(place(r, s), sums[2 * r + s], add))),
    ],
  };
}

/**
 * A kernel over n numbers, a multiple of 4: its arguments after n are arrays, the last of which is written to.
 *
 * @param {string} name @param {number} arrays
 * @param {(load: ((array: number) => Code), v128: () => number) => {before?: Code, value: Code}} formula
 * @returns {Kernel}
 */
const elementwise = (name, arrays, formula) => ({
  name,
  parameters: 1 + arrays,
  body(local) {
    const end = local.i32();
    const { before = [], value } = formula((array) => f32x4.load(get(array)), local.v128);
    return [
      ...set(end, i32.add(get(arrays), i32.shl(get(0), i32.const(2)))),
      ...whileBelow(arrays, get(end), [
        ...before,
        ...f32x4.store(get(arrays), value),
        ...times(arrays, (i) => increase(i + 1, i32.const(FOUR))),
      ]),
    ];
  },
});

/** tanh z = 1 − 2/(1 + e²ᶻ), with e²ᶻ = 2ⁿ eʳ, |r| ≤ ½ ln 2, and eʳ by its series. Right to 10⁻⁷. */
const tanh = elementwise("tanh", 1, (load, v128) => {
  const [power, r, e] = several(3, v128);
  const series = [1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1];
  const [high, low] = [0.693359375, Math.LN2 - 0.693359375]; // ln 2 in two parts: n·high is exact
  const doubled = f32x4.mul(load(1), f32x4.const(2));
  return {
    before: [
      ...set(r, f32x4.max(f32x4.min(doubled, f32x4.const(40)), f32x4.const(-40))),
      ...set(power, f32x4.nearest(f32x4.mul(get(r), f32x4.const(Math.LOG2E)))),
      ...set(r, f32x4.sub(get(r), f32x4.mul(get(power), f32x4.const(high)))),
      ...set(r, f32x4.sub(get(r), f32x4.mul(get(power), f32x4.const(low)))),
      ...set(e, f32x4.const(series[0])),
      ...series.slice(1).flatMap((term) => set(e, f32x4.add(f32x4.mul(get(e), get(r)), f32x4.const(term)))),
      // 2ⁿ: n in the exponent of a float32.
      ...set(power, i32x4.shl(i32x4.add(f32x4.toInteger(get(power)), i32x4.const(127)), 23)),
      ...set(e, f32x4.mul(get(e), get(power))),
    ],
    value: f32x4.sub(f32x4.const(1), f32x4.div(f32x4.const(2), f32x4.add(get(e), f32x4.const(1)))),
  };
});

/** 1 − h². @param {Code} h */
const falling = (h) => f32x4.sub(f32x4.const(1), f32x4.mul(h, h));

/** Of d, h, out: out = d(1 − h²). */
const slope = elementwise("slope", 3, (load) => ({ value: f32x4.mul(load(1), falling(load(2))) }));

/** Of d, h, dh, s, out: out = d(1 − h²) − 2h·dh·s. */
const bend = elementwise("bend", 5, (load) => {
  const twice = f32x4.mul(f32x4.add(load(2), load(2)), f32x4.mul(load(3), load(4)));
  return { value: f32x4.sub(f32x4.mul(load(1), falling(load(2))), twice) };
});

/**
 * Go through blocks of `size` bytes; `from` lists the block that each belongs to.
 *
 * @param {string} name @param {(other: number, own: number, size: number, local: () => number) => Code} work where the
 *   block has one @param {(own: number, size: number) => Code} nothing where it has none
 * @param {boolean} ownIsTarget
 * @returns {Kernel}
 */
const blockwise = (name, work, nothing, ownIsTarget) => ({
  name,
  parameters: 5,
  body(local) {
    const [blocks, size, from, source, target] = [0, 1, 2, 3, 4];
    const [own, others] = ownIsTarget ? [target, source] : [source, target];
    const [other, end] = several(2, local.i32);
    return [
      ...set(end, i32.add(get(from), i32.shl(get(blocks), i32.const(2)))),
      ...whileBelow(from, get(end), [
        ...set(other, i32.load(get(from))),
        ...choose(i32.negative(get(other)), nothing(own, size), [
          ...set(other, i32.add(get(others), i32.mul(get(other), get(size)))),
          ...work(other, own, size, local.i32),
        ]),
        ...increase(own, get(size)),
        ...increase(from, i32.const(4)),
      ]),
    ];
  },
});

const gather = blockwise(
  "gather",
  (other, own, size) => memory.copy(get(own), get(other), get(size)),
  (own, size) => memory.clear(get(own), get(size)),
  true,
);

const scatter = blockwise(
  "scatter",
  (other, own, size, local) => {
    const [at, end] = several(2, local);
    const there = i32.add(get(other), get(at));
    return [
      ...set(at, i32.const(0)), ...set(end, get(size)),
      ...whileBelow(at, get(end), [
        ...f32x4.store(there, f32x4.add(f32x4.load(there), f32x4.load(i32.add(get(own), get(at))))),
        ...increase(at, i32.const(FOUR)),
      ]),
    ]; // prettier-ignore
  },
  () => [],
  false,
);

/** @type {Kernel[]} */
export const KERNELS = [
  product("product", false), product("addProduct", true), outer("outer", false), outer("addOuter", true),
  tanh, slope, bend, gather, scatter,
]; // prettier-ignore
