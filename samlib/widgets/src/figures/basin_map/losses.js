// The losses of the figure: each as samlib has it, for the page and for the graphics card, and how an end is told.

import { fourDimensional } from "../../dynamics/four-dimensional.js";
import { doubleWell, quadratic } from "../../dynamics/landscapes.js";
import { twoValleys } from "../../dynamics/two-valleys.js";
import { constants } from "../../schema.js";
import { formulaLandscape, glslOf } from "./tape.js";

/** @typedef {import("../../dynamics/landscapes.js").Landscape} Landscape */
/** @typedef {"places" | "direction" | "valley"} Kind */
/** @typedef {{x: number[], type: "minimum" | "saddle" | "maximum", radius: number}} Place */

/**
 * @typedef {object} Loss
 * @property {Kind} kind what tells the ends apart
 * @property {string[]} names of the two coordinates that the map shows, then of the others
 * @property {Landscape} landscape
 * @property {string} glsl its gradient and its products with the Hessian, for the shader
 * @property {Place[]} places the critical points that an end may lie at
 * @property {number[]} floor the coordinates that vanish on the floor of a valley
 */

/** @typedef {import("./tape.js").Formula} Formula */

const { spectra, places } = constants.basin_map;

/** The gradient and the products, as functions of the shader, where a point is a V. @param {string} gradient @param {string} product */
const functions = (gradient, product) =>
  `V gradient(V x) { ${gradient} }\nV product(V x, V v) { ${product} }`;

/** @type {Record<string, () => Loss>} */
const LOSSES = {
  "double well": () => ({
    kind: "places",
    names: ["x₁", "x₂"],
    landscape: withProducts(doubleWell()),
    glsl: functions(
      "return V((x.x * x.x - 1.0) * x.x, x.y);",
      "return V((3.0 * x.x * x.x - 1.0) * v.x, v.y);",
    ),
    places: /** @type {Place[]} */ (places),
    floor: [],
  }),
  "two valleys": () => ({
    kind: "valley",
    names: ["x", "y₁", "y₂"],
    landscape: withProducts(twoValleys()),
    glsl: functions(
      `float t = 2.0 / (1.0 + exp(-2.0 * x.x)) - 1.0;
      return V((1.0 - t * t) * (0.25 * x.y * x.y - 0.4 * x.z * x.z),
        (3.0 + 0.5 * t) * x.y, (1.0 - 0.8 * t) * x.z);`,
      `float t = 2.0 / (1.0 + exp(-2.0 * x.x)) - 1.0;
      float s = 1.0 - t * t;
      float a = 0.5 * s * x.y;
      float b = -0.8 * s * x.z;
      return V(-2.0 * t * s * (0.25 * x.y * x.y - 0.4 * x.z * x.z) * v.x + a * v.y + b * v.z,
        a * v.x + (3.0 + 0.5 * t) * v.y, b * v.x + (1.0 - 0.8 * t) * v.z);`,
    ),
    places: [],
    floor: [1, 2],
  }),
  "four dimensions": () => ({
    kind: "valley",
    names: ["x₁", "x₂", "x₃", "x₄"],
    landscape: fourDimensional(),
    glsl: functions(
      `vec2 d = 1.0 - x.xy;
      float f1 = x.x * x.x + 6.0 * x.y * x.y + 8.0;
      float f2 = 4.0 * d.x * d.x + d.y * d.y + 1.0;
      return vec4(2.0 * x.x * x.z * x.z - 8.0 * d.x * x.w * x.w,
        12.0 * x.y * x.z * x.z - 2.0 * d.y * x.w * x.w, 2.0 * f1 * x.z, 2.0 * f2 * x.w);`,
      `vec2 d = 1.0 - x.xy;
      float f1 = x.x * x.x + 6.0 * x.y * x.y + 8.0;
      float f2 = 4.0 * d.x * d.x + d.y * d.y + 1.0;
      vec4 h = vec4(4.0 * x.x * x.z, 24.0 * x.y * x.z, -16.0 * d.x * x.w, -4.0 * d.y * x.w);
      vec2 s = x.zw * x.zw;
      return vec4((2.0 * s.x + 8.0 * s.y) * v.x + h.x * v.z + h.z * v.w,
        (12.0 * s.x + 2.0 * s.y) * v.y + h.y * v.z + h.w * v.w,
        h.x * v.x + h.y * v.y + 2.0 * f1 * v.z, h.z * v.x + h.w * v.y + 2.0 * f2 * v.w);`,
    ),
    places: [],
    floor: [2, 3],
  }),
};

/** A quadratic in the eigenbasis. @param {number[]} spectrum @returns {Loss} */
function bowl([a, b]) {
  const spectrum = `V(${a.toFixed(3)}, ${b.toFixed(3)})`;
  return {
    kind: "direction",
    names: ["x₁", "x₂"],
    landscape: withProducts(quadratic([a, b])),
    glsl: functions(`return ${spectrum} * x;`, `return ${spectrum} * v;`),
    places: [],
    floor: [],
  };
}

/**
 * The loss by its name.
 *
 * @param {string} name @param {Formula | null} formula that was read, if it is one
 * @returns {Loss}
 */
export function lossOf(name, formula) {
  if (name !== "formula") return name in spectra ? bowl(spectra[/** @type {keyof typeof spectra} */ (name)]) : LOSSES[name]();
  if (!formula) throw new RangeError("a formula has to be read first");
  return {
    kind: formula.places.length ? "places" : "valley",
    names: ["x", "y"],
    landscape: withProducts(formulaLandscape(formula)),
    glsl: glslOf(formula),
    places: formula.places,
    floor: [],
  };
}

/** A landscape with products with its Hessian, which it has at the beginning of x only. @param {Landscape} landscape @returns {Landscape} */
function withProducts(landscape) {
  const { dim } = landscape;
  const here = new Float64Array(dim);
  const h = new Float64Array(dim * dim);
  return {
    ...landscape,
    hessianVectorProduct(x, at, v, out) {
      for (let i = 0; i < dim; i++) here[i] = x[at + i];
      landscape.hessian(here, h);
      for (let i = 0; i < dim; i++) {
        out[i] = 0;
        for (let j = 0; j < dim; j++) out[i] += h[i * dim + j] * v[j];
      }
    },
  };
}
