// The data of the figure "SpectrumInTraining", as training_sweep.py wrote them.

/** @typedef {"gradient_descent" | "sam" | "one_sam"} Run */

/**
 * One number per method, ρ and checkpoint, or several (`size`), in this order.
 *
 * @typedef {{values: ArrayLike<number>, size: number}} Table
 */

/** @typedef {ReturnType<typeof readSweep>} Sweep */

/** @param {string} text in base64 */
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Unsigned integers, seven bits a byte, the lowest first; the eighth says that more follow. @param {Uint8Array} bytes */
function fromLeb128(bytes) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const byte of bytes) {
    value += (byte & 127) << shift;
    shift += 7;
    if (byte >= 128) continue;
    numbers.push(value);
    value = shift = 0;
  }
  return numbers;
}

/** Numbers of 32 bits, the lowest byte first. @param {Uint8Array} bytes */
function fromFloat32(bytes) {
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** @param {any} sweep what Python sends */
export function readSweep({ rhos, steps, bins, settings, arrays }) {
  /** @type {Record<string, Table>} */
  const tables = {};
  for (const [name, { shape, leb128, float32 }] of Object.entries(/** @type {Record<string, any>} */ (arrays))) {
    const values = leb128 ? fromLeb128(bytesOf(leb128)) : fromFloat32(bytesOf(float32));
    tables[name] = { values, size: shape[3] ?? 1 };
  }
  const { unit, width, first, last } = bins;
  const edges = Array.from({ length: last - first + 2 }, (_, i) => {
    const place = width * (first + i - 0.5);
    return Math.sign(place) * unit * Math.expm1(Math.abs(place));
  });
  return {
    /** @type {number[]} */
    rhos,
    /** @type {number[]} */
    steps,
    /** @type {number} */
    unit,
    edges,
    tables,
    /** @type {Record<"sam" | "one_sam", number>} */
    lr: settings.lr,
    /** Steps of 1-SAM for each of SAM. */
    stride: Number(settings.stride.one_sam),
    testRows: Number(settings.test_rows),
    /**
     * Gradient descent is SAM with ρ = 0.
     *
     * @param {string} name @param {Run} run @param {number} rho its number @param {number} step its number
     * @param {number} [k] which of several
     */
    at(name, run, rho, step, k = 0) {
      const { values, size } = tables[name];
      const method = run === "one_sam" ? rhos.length : 0;
      const row = method + (run === "gradient_descent" ? 0 : rho);
      return values[(row * steps.length + step) * size + k];
    },
  };
}

/**
 * Where a step of SAM along an eigenvector ceases to be stable: η λ (1 + ρλ/‖g‖) = 2. It is 2/η for ρ = 0.
 *
 * @param {number} lr @param {number} rho @param {number} norm ‖g‖
 */
export const edgeOfStability = (lr, rho, norm) =>
  rho === 0 ? 2 / lr : 4 / (lr * (1 + Math.sqrt(1 + (8 * rho) / (lr * norm))));
