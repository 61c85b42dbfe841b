// The arithmetic of the networks in plain float64 JavaScript: what the page computes where it has to equal samlib
// iterate by iterate, and where there is no WebAssembly.

/**
 * What the networks are made of. Matrices are row-major in buffers that `alloc` gives; a buffer may be longer than
 * its matrix. With `add` the result is added to what is there.
 *
 * @typedef {object} Arithmetic
 * @property {"float32" | "float64"} precision
 * @property {(length: number) => Buffer} alloc
 * @property {(indices: number[]) => Int32Array} indices
 * @property {(m: number, n: number, k: number, a: Buffer, b: Buffer, c: Buffer, add: boolean) => void} multiply
 *   C = A·B, m × n, with A m × k and B k × n
 * @property {(m: number, n: number, k: number, a: Buffer, b: Buffer, c: Buffer, add: boolean) => void} transposed
 *   C = Aᵀ·B, m × n, with A k × m and B k × n
 * @property {(m: number, n: number, k: number, a: Buffer, b: Buffer, c: Buffer, add: boolean) => void} outer
 *   C = A·Bᵀ, m × n, with A m × k and B n × k
 * @property {(n: number, z: Buffer) => void} tanh of n entries, in their place
 * @property {(n: number, d: Buffer, h: Buffer, out: Buffer) => void} slope out = d(1 − h²)
 * @property {(n: number, d: Buffer, h: Buffer, dh: Buffer, slope: Buffer, out: Buffer) => void} bend
 *   out = d(1 − h²) − 2h·dh·slope, the change of slope(…) where h changes by dh
 * @property {(blocks: number, size: number, from: Int32Array, source: Buffer, target: Buffer) => void} gather
 *   block i of the target is block from[i] of the source, or zeros where that is −1
 * @property {(blocks: number, size: number, from: Int32Array, source: Buffer, target: Buffer) => void} scatter
 *   block i of the source is added to block from[i] of the target
 */

/** @typedef {Float64Array | Float32Array} Buffer */

/**
 * Four terms of each sum at a time, so that C is read and written a quarter as often; a[i·down + l·along] is A's entry.
 *
 * @param {number} down @param {number} along @param {number} m @param {number} n @param {number} k
 * @param {Buffer} a @param {Buffer} b @param {Buffer} c @param {boolean} add
 */
function strided(down, along, m, n, k, a, b, c, add) {
  if (!add) c.fill(0, 0, m * n);
  for (let i = 0; i < m; i++) {
    const row = i * n;
    let l = 0;
    for (; l + 4 <= k; l += 4) {
      const at = i * down + l * along;
      const a0 = a[at];
      const a1 = a[at + along];
      const a2 = a[at + 2 * along];
      const a3 = a[at + 3 * along];
      const b0 = l * n;
      const b1 = b0 + n;
      const b2 = b1 + n;
      const b3 = b2 + n;
      for (let j = 0; j < n; j++) {
        c[row + j] += a0 * b[b0 + j] + a1 * b[b1 + j] + a2 * b[b2 + j] + a3 * b[b3 + j];
      }
    }
    for (; l < k; l++) {
      const factor = a[i * down + l * along];
      for (let j = 0; j < n; j++) c[row + j] += factor * b[l * n + j];
    }
  }
}

/** @type {Arithmetic["outer"]} */
function outer(m, n, k, a, b, c, add) {
  for (let i = 0; i < m; i++) {
    let j = 0;
    for (; j + 2 <= n; j += 2) {
      let s0 = 0;
      let s1 = 0;
      for (let l = 0, p = i * k, q = j * k; l < k; l++, p++, q++) {
        s0 += a[p] * b[q];
        s1 += a[p] * b[q + k];
      }
      c[i * n + j] = add ? c[i * n + j] + s0 : s0;
      c[i * n + j + 1] = add ? c[i * n + j + 1] + s1 : s1;
    }
    for (; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[i * k + l] * b[j * k + l];
      c[i * n + j] = add ? c[i * n + j] + sum : sum;
    }
  }
}

/** @returns {Arithmetic} */
export function plainArithmetic() {
  return {
    precision: "float64",
    alloc: (length) => new Float64Array(length),
    indices: (indices) => Int32Array.from(indices),
    multiply: (m, n, k, a, b, c, add) => strided(k, 1, m, n, k, a, b, c, add),
    transposed: (m, n, k, a, b, c, add) => strided(1, m, m, n, k, a, b, c, add),
    outer,
    tanh(n, z) {
      for (let i = 0; i < n; i++) z[i] = Math.tanh(z[i]);
    },
    slope(n, d, h, out) {
      for (let i = 0; i < n; i++) out[i] = d[i] * (1 - h[i] * h[i]);
    },
    bend(n, d, h, dh, slope, out) {
      for (let i = 0; i < n; i++) out[i] = d[i] * (1 - h[i] * h[i]) - 2 * h[i] * dh[i] * slope[i];
    },
    gather(blocks, size, from, source, target) {
      for (let i = 0; i < blocks; i++) {
        const [to, at] = [i * size, from[i] * size];
        if (at < 0) target.fill(0, to, to + size);
        else for (let j = 0; j < size; j++) target[to + j] = source[at + j];
      }
    },
    scatter(blocks, size, from, source, target) {
      for (let i = 0; i < blocks; i++) {
        const [to, at] = [from[i] * size, i * size];
        if (to >= 0) for (let j = 0; j < size; j++) target[to + j] += source[at + j];
      }
    },
  };
}
