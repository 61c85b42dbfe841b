// Sums of vectors.

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Σ c_n v_n. @param {Float64Array[]} vectors @param {ArrayLike<number>} c */
export function combined(vectors, c) {
  const sum = new Float64Array(vectors[0].length);
  for (let n = 0; n < vectors.length; n++) for (let i = 0; i < sum.length; i++) sum[i] += c[n] * vectors[n][i];
  return sum;
}
