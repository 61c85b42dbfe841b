// Long vectors of float64 numbers. (Variables of the inner loops are declared one by one: taken out of an array, V8
// keeps each sum as an object of its own.)

/** @param {Float64Array} a @param {Float64Array} b */
export function inner(a, b) {
  const n = a.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < n; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (; i < n; i++) s0 += a[i] * b[i];
  return s0 + s1 + (s2 + s3);
}

/** v += factor·w. @param {Float64Array} v @param {number} factor @param {Float64Array} w */
export function add(v, factor, w) {
  for (let i = 0; i < v.length; i++) v[i] += factor * w[i];
}

/** v *= factor. @param {Float64Array} v @param {number} factor */
export function scale(v, factor) {
  for (let i = 0; i < v.length; i++) v[i] *= factor;
}

/** out += Σ cₙ vₙ. @param {Float64Array} out @param {Float64Array[]} vectors @param {Float64Array} c */
export function addCombined(out, vectors, c) {
  let n = 0;
  // Four at a time, so that the sum is read and written a quarter as often.
  for (; n + 3 < vectors.length; n += 4) {
    const [v0, v1, v2, v3] = vectors.slice(n, n + 4);
    const c0 = c[n];
    const c1 = c[n + 1];
    const c2 = c[n + 2];
    const c3 = c[n + 3];
    for (let i = 0; i < out.length; i++) out[i] += c0 * v0[i] + c1 * v1[i] + c2 * v2[i] + c3 * v3[i];
  }
  for (; n < vectors.length; n++) add(out, c[n], vectors[n]);
}

/** Σ cₙ vₙ, at least one. @param {Float64Array[]} vectors @param {Float64Array} c */
export function combined(vectors, c) {
  const out = new Float64Array(vectors[0].length);
  addCombined(out, vectors, c);
  return out;
}
