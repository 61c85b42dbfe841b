// A formula as a tape: one small operation after the other, which a loop computes here and which are lines of the shader
// there. formulas.js writes it.

/** @typedef {import("../../dynamics/landscapes.js").Landscape} Landscape */

/**
 * An operation: what it does, and the entries of the tape that it does it to (for a number, the number itself).
 *
 * @typedef {[op: Op, a: number, b: number]} Entry
 * @typedef {keyof typeof GLSL} Op
 */

/**
 * A formula that was read. The first two entries of the tape are x and y; `value`, `gradient` and `hessian` (row by row)
 * say which entries hold them.
 *
 * @typedef {object} Formula
 * @property {string} text
 * @property {Entry[]} tape
 * @property {number} value
 * @property {number[]} gradient
 * @property {number[]} hessian
 * @property {import("./losses.js").Place[]} places its critical points, if these are single points
 */

/** Each operation in the shader. @type {Record<string, (a: string, b: string) => string>} */
const GLSL = {
  x: () => "x.x",
  y: () => "x.y",
  number: (a) => a,
  add: (a, b) => `${a} + ${b}`,
  sub: (a, b) => `${a} - ${b}`,
  mul: (a, b) => `${a} * ${b}`,
  div: (a, b) => `${a} / ${b}`,
  pow: (a, b) => `power(${a}, ${b})`,
  neg: (a) => `-${a}`,
  abs: (a) => `abs(${a})`,
  atan: (a) => `atan(${a})`,
  cos: (a) => `cos(${a})`,
  cosh: (a) => `cosh(${a})`,
  exp: (a) => `exp(${a})`,
  log: (a) => `logarithm(${a})`,
  sin: (a) => `sin(${a})`,
  sinh: (a) => `sinh(${a})`,
  sqrt: (a) => `root(${a})`,
  tan: (a) => `tan(${a})`,
  tanh: (a) => `(1.0 - 2.0 / (exp(2.0 * ${a}) + 1.0))`,
};

/** Where a language leaves open what comes out, it is what JavaScript says: not a number. */
const HELPERS = `
float nothing() { return uintBitsToFloat(0x7fc00000u); }
float logarithm(float a) { return a > 0.0 ? log(a) : nothing(); }
float root(float a) { return a >= 0.0 ? sqrt(a) : nothing(); }
float power(float a, float b) { return a > 0.0 ? pow(a, b) : a == 0.0 && b > 0.0 ? 0.0 : nothing(); }`;

/** A number as GLSL writes it. @param {number} value */
const literal = (value) => (/[.e]/.test(String(value)) ? String(value) : `${value}.0`);

/** The lines of a tape that lead to some of its entries. @param {Entry[]} tape @param {number[]} ends */
function linesTo(tape, ends) {
  const needed = new Set(ends);
  for (let i = tape.length - 1; i >= 0; i--) {
    const [op, a, b] = tape[i];
    if (!needed.has(i) || op === "number") continue;
    needed.add(a).add(b);
  }
  return tape.flatMap(([op, a, b], i) => {
    if (!needed.has(i)) return [];
    const of = op === "number" ? literal(a) : `t${a}`;
    return [`float t${i} = ${GLSL[op](of, `t${b}`)};`];
  });
}

/** The functions of a formula for the shader. @param {Formula} formula */
export function glslOf({ tape, gradient: [a, b], hessian: [aa, ab, , bb] }) {
  return `${HELPERS}
V gradient(V x) {
  ${linesTo(tape, [a, b]).join("\n  ")}
  return V(t${a}, t${b});
}
V product(V x, V v) {
  ${linesTo(tape, [aa, ab, bb]).join("\n  ")}
  return V(t${aa} * v.x + t${ab} * v.y, t${ab} * v.x + t${bb} * v.y);
}`;
}

/**
 * Compute the tape for (x, y): every entry after the other.
 *
 * @param {Entry[]} tape @param {Float64Array} t the entries @param {number} x @param {number} y @param {number} until
 */
function play(tape, t, x, y, until) {
  for (let i = 0; i < until; i++) {
    const [op, a, b] = tape[i];
    switch (op) {
      case "x": t[i] = x; break;
      case "y": t[i] = y; break;
      case "number": t[i] = a; break;
      case "add": t[i] = t[a] + t[b]; break;
      case "sub": t[i] = t[a] - t[b]; break;
      case "mul": t[i] = t[a] * t[b]; break;
      case "div": t[i] = t[a] / t[b]; break;
      case "neg": t[i] = -t[a]; break;
      case "pow": t[i] = t[a] ** t[b]; break;
      default: t[i] = /** @type {any} */ (Math)[op](t[a]); // named as in Math
    } // prettier-ignore
  }
}

/**
 * The landscape of a formula.
 *
 * @param {Formula} formula
 * @returns {Landscape}
 */
export function formulaLandscape({ tape, value, gradient: [a, b], hessian }) {
  const t = new Float64Array(tape.length);
  const slopes = Math.max(a, b, value) + 1;
  const run = (/** @type {Float64Array} */ x, /** @type {number} */ at, /** @type {number} */ until) =>
    play(tape, t, x[at], x[at + 1], until);
  return {
    name: "formula",
    dim: 2,
    value(x) {
      run(x, 0, value + 1);
      return t[value];
    },
    gradient(x, at, out) {
      run(x, at, slopes);
      out[0] = t[a];
      out[1] = t[b];
    },
    hessian(x, out) {
      run(x, 0, tape.length);
      for (let i = 0; i < 4; i++) out[i] = t[hessian[i]];
    },
  };
}
