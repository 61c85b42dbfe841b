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

/**
 * An array [method, ρ, checkpoint, …], from the differences between each checkpoint and the one before.
 *
 * @param {{shape: number[], leb128: string, log?: number}} text @returns {Table}
 */
function decode({ shape, leb128, log }) {
  const size = shape[3] ?? 1;
  const row = shape[2] * size;
  const numbers = fromLeb128(bytesOf(leb128)).map((n) => (n % 2 ? -(n + 1) / 2 : n / 2));
  for (let i = 0; i < numbers.length; i++) if (i % row >= size) numbers[i] += numbers[i - size];
  return { values: log ? numbers.map((n) => Math.exp(n * log)) : numbers, size };
}

/** @param {any} sweep what Python sends */
export function readSweep({ rhos, steps, bins, settings, arrays }) {
  /** @type {Record<string, Table>} */
  const tables = {};
  for (const [name, text] of Object.entries(/** @type {Record<string, any>} */ (arrays))) tables[name] = decode(text);
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
