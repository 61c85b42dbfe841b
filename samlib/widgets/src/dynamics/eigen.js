// Eigenvalues of small symmetric matrices.

/**
 * The largest eigenvalue of a symmetric matrix and its unit eigenvector, by cyclic Jacobi rotations.
 *
 * @param {Float64Array} matrix row-major dim × dim, overwritten
 * @param {Float64Array} vectors dim × dim of work space
 * @param {Float64Array} vector receives the eigenvector
 * @returns {number} the eigenvalue
 */
export function topEigenpair(matrix, vectors, vector) {
  const dim = vector.length;
  vectors.fill(0);
  for (let i = 0; i < dim; i++) vectors[i * dim + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    if (isDiagonal(matrix, dim)) break;
    for (let p = 0; p < dim - 1; p++) {
      for (let q = p + 1; q < dim; q++) rotate(matrix, vectors, dim, p, q);
    }
  }
  let top = 0;
  for (let i = 1; i < dim; i++) if (matrix[i * dim + i] > matrix[top * dim + top]) top = i;
  for (let k = 0; k < dim; k++) vector[k] = vectors[k * dim + top];
  return matrix[top * dim + top];
}

/** Is a symmetric matrix diagonal, up to rounding? @param {Float64Array} matrix @param {number} dim */
function isDiagonal(matrix, dim) {
  let off = 0;
  let diagonal = 0;
  for (let i = 0; i < dim; i++) {
    diagonal += matrix[i * dim + i] * matrix[i * dim + i];
    for (let j = 0; j < i; j++) off += matrix[i * dim + j] * matrix[i * dim + j];
  }
  return !(off > 1e-34 * diagonal);
}

/**
 * The rotation in the plane of p and q that makes their common entry zero.
 *
 * @param {Float64Array} matrix @param {Float64Array} vectors @param {number} dim @param {number} p @param {number} q
 */
function rotate(matrix, vectors, dim, p, q) {
  const apq = matrix[p * dim + q];
  if (apq === 0) return;
  const theta = (matrix[q * dim + q] - matrix[p * dim + p]) / (2 * apq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < dim; k++) {
    const kp = matrix[k * dim + p];
    const kq = matrix[k * dim + q];
    matrix[k * dim + p] = c * kp - s * kq;
    matrix[k * dim + q] = s * kp + c * kq;
  }
  for (let k = 0; k < dim; k++) {
    const pk = matrix[p * dim + k];
    const qk = matrix[q * dim + k];
    matrix[p * dim + k] = c * pk - s * qk;
    matrix[q * dim + k] = s * pk + c * qk;
    const vp = vectors[k * dim + p];
    const vq = vectors[k * dim + q];
    vectors[k * dim + p] = c * vp - s * vq;
    vectors[k * dim + q] = s * vp + c * vq;
  }
}
