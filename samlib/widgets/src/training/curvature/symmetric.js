// All eigenpairs of a small symmetric matrix: Householder's reduction to a tridiagonal one, then the implicit QR iteration
// with Wilkinson's shift (Golub and Van Loan, Matrix Computations, Section 8.3). Much quicker than Jacobi's rotations for
// the 50 × 50 matrices that a Lanczos iteration looks at again and again.

/** @typedef {{value: number, vector: Float64Array}} Eigenpair */

/** @param {Float64Array[]} matrix its rows, overwritten @returns {Eigenpair[]} largest value first */
export function eigenpairs(matrix) {
  const n = matrix.length;
  // Row i is what becomes of the i-th unit vector, so that rotations go along rows.
  const rows = Array.from({ length: n }, (_, i) => new Float64Array(n).fill(1, i, i + 1));
  const { d, e } = tridiagonal(matrix, rows);
  for (let high = n - 1; high > 0; ) {
    const isSmall = (/** @type {number} */ i) => Math.abs(e[i]) <= 1e-16 * (Math.abs(d[i]) + Math.abs(d[i + 1]));
    if (isSmall(high - 1) || Number.isNaN(e[high - 1])) {
      high--;
      continue;
    }
    let low = high - 1;
    while (low > 0 && !isSmall(low - 1)) low--;
    chase(d, e, rows, low, high);
  }
  return rows.map((vector, i) => ({ value: d[i], vector })).sort((a, b) => b.value - a.value);
}

/**
 * The diagonal and the one beside it. @param {Float64Array[]} a @param {Float64Array[]} rows reflected alike
 */
function tridiagonal(a, rows) {
  const n = a.length;
  const e = new Float64Array(n);
  for (let k = 0; k + 1 < n; k++) {
    const v = Float64Array.from({ length: n }, (_, i) => (i > k ? a[i][k] : 0));
    const length = Math.hypot(...v);
    e[k] = v[k + 1] > 0 ? -length : length;
    v[k + 1] -= e[k];
    const size = Math.hypot(...v);
    if (size === 0 || length === 0) continue;
    for (let i = k + 1; i < n; i++) v[i] /= size;
    reflectBoth(a, v, k + 1);
    reflectRows(rows, v, k + 1);
  }
  return { d: Float64Array.from(a, (row, i) => row[i]), e };
}

/** (1 − 2vvᵀ) A (1 − 2vvᵀ), from an index on. @param {Float64Array[]} a @param {Float64Array} v @param {number} first */
function reflectBoth(a, v, first) {
  const n = a.length;
  const w = new Float64Array(n);
  let along = 0;
  for (let i = first; i < n; i++) {
    for (let j = first; j < n; j++) w[i] += a[i][j] * v[j];
    along += v[i] * w[i];
  }
  for (let i = first; i < n; i++) w[i] -= along * v[i];
  for (let i = first; i < n; i++) for (let j = first; j < n; j++) a[i][j] -= 2 * (v[i] * w[j] + w[i] * v[j]);
}

/** (1 − 2vvᵀ) R. @param {Float64Array[]} rows @param {Float64Array} v @param {number} first */
function reflectRows(rows, v, first) {
  const n = rows.length;
  const sums = new Float64Array(n);
  for (let i = first; i < n; i++) for (let j = 0; j < n; j++) sums[j] += v[i] * rows[i][j];
  for (let i = first; i < n; i++) for (let j = 0; j < n; j++) rows[i][j] -= 2 * v[i] * sums[j];
}

/**
 * One step of the iteration on the block from low to high: a rotation brings in the shift, the others chase what it
 * leaves beside the diagonals out of the matrix.
 *
 * @param {Float64Array} d @param {Float64Array} e @param {Float64Array[]} rows @param {number} low @param {number} high
 */
function chase(d, e, rows, low, high) {
  const half = (d[high - 1] - d[high]) / 2;
  const off = e[high - 1];
  const shift = d[high] - (off * off) / (half + (half < 0 ? -1 : 1) * Math.hypot(half, off));
  let x = d[low] - shift;
  let z = e[low];
  for (let k = low; k < high; k++) {
    const r = Math.hypot(x, z);
    const c = r === 0 ? 1 : x / r;
    const s = r === 0 ? 0 : z / r;
    if (k > low) e[k - 1] = r;
    const first = d[k];
    const second = d[k + 1];
    const beside = e[k];
    d[k] = c * c * first + 2 * c * s * beside + s * s * second;
    d[k + 1] = s * s * first - 2 * c * s * beside + c * c * second;
    e[k] = c * s * (second - first) + (c * c - s * s) * beside;
    if (k + 1 < high) {
      x = e[k];
      z = s * e[k + 1];
      e[k + 1] *= c;
    }
    rotate(rows[k], rows[k + 1], c, s);
  }
}

/** @param {Float64Array} p @param {Float64Array} q @param {number} c @param {number} s */
function rotate(p, q, c, s) {
  for (let j = 0; j < p.length; j++) {
    const a = p[j];
    const b = q[j];
    p[j] = c * a + s * b;
    q[j] = c * b - s * a;
  }
}
