// The shader: many starts at once, each a pixel, some steps a pass. Single precision, otherwise as ends.js.

import { constants } from "../../schema.js";

const { check, far, rest, floor, arrived, sectors, labels, most } = constants.basin_map;

/** One triangle over everything. */
export const VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0, 0.0, 1.0);
}`;

/** @param {number} value */
const real = (value) => (Number.isInteger(value) ? `${value}.0` : String(value));

/**
 * What is at hand in both shaders.
 *
 * A run may come nearer to a place than single precision can tell, and leave it again. Where places are not at zero, a
 * point is therefore a sum of two numbers, `hi` and a small rest `lo`, and its gradient that at `hi` with the Hessian
 * times the rest. `one` keeps compilers from calculating the rest away.
 *
 * @param {import("./losses.js").Loss} loss @param {string} method
 */
const head = ({ kind, glsl, landscape: { dim } }, method) => `#version 300 es
precision highp float;
precision highp int;
uniform sampler2D points;
uniform sampler2D marks;
uniform float rho;
uniform float lr;
uniform float one;
uniform int known;
uniform vec2 places[${most}];
uniform float radii[${most}];
#define V vec${dim}
struct P { V hi; V lo; };
${glsl}
${kind === "places" ? PAIRS : SINGLES}
V unit(V g) {
  V size = abs(g);
  float scale = max(size.x, ${LARGEST[dim]});
  if (scale == 0.0) return V(${1 / Math.sqrt(dim)});
  V h = g / scale;
  return h * inversesqrt(dot(h, h));
}
P next(P x) {
  ${STEPS[method]}
}
P load() {
  vec4 x = texelFetch(points, ivec2(gl_FragCoord.xy), 0);
  return P(x.${PART[dim]}, ${kind === "places" ? "x.zw" : "V(0.0)"});
}
bool hasArrived(P x) { return all(lessThan(abs(slope(x)), V(${arrived}))); }
bool isInside(V x) { return dot(x, x) < ${real(far * far)}; }
${PLACE_AT}`;

/** The number of the place nearest to a point, if one is near. */
const PLACE_AT = `int placeAt(vec2 x) {
  int best = 0;
  float least = 1e30;
  for (int k = 0; k < known; k++) {
    vec2 d = x - places[k];
    float square = dot(d, d);
    if (square < least) { best = k; least = square; }
  }
  return sqrt(least) < radii[best] ? best : ${labels.elsewhere};
}`;

/** Points of two numbers; the sum of two is exact (Knuth). */
const PAIRS = `V slope(P x) { return gradient(x.hi) + product(x.hi, x.lo); }
P plus(P x, V d) {
  V b = d + x.lo;
  V s = x.hi + b;
  V c = (s - x.hi) * one;
  return P(s, (x.hi - (s - c) * one) + (b - c));
}
V between(P a, P b) { return (b.hi - a.hi) + (b.lo - a.lo); }`;

/** Points of one number. */
const SINGLES = `V slope(P x) { return gradient(x.hi); }
P plus(P x, V d) { return P(x.hi + d, x.lo); }
V between(P a, P b) { return b.hi - a.hi; }`;

/** The largest of the sizes of the second and the later components, by D. @type {Record<number, string>} */
const LARGEST = { 2: "size.y", 3: "max(size.y, size.z)", 4: "max(size.y, max(size.z, size.w))" };

/** A point as a texture holds it, by D. @type {Record<number, string>} */
const PACKED = { 2: "vec4(x.hi, x.lo)", 3: "vec4(x.hi, 0.0)", 4: "x.hi" };

/** What of it is the point. @type {Record<number, string>} */
const PART = { 2: "xy", 3: "xyz", 4: "xyzw" };

/** One step of each rule. @type {Record<string, string>} */
const STEPS = {
  gradient_descent: "return plus(x, -lr * slope(x));",
  sam: "return plus(x, -lr * slope(plus(x, rho * unit(slope(x)))));",
  ascent_loss_descent: `V g = slope(x);
  V u = unit(g);
  V p = slope(plus(x, rho * u));
  float size = length(g);
  if (size == 0.0) return plus(x, -lr * p);
  return plus(x, -lr * (p + rho / size * product(x.hi, p - dot(u, p) * u)));`,
};

/** @type {Record<import("./losses.js").Kind, (floor: number[]) => string>} */
const MARKS = {
  places: () => "return placeAt(x.xy);",
  direction: () => `V g = gradient(x);
  int sector = int(floor(atan(g.y, g.x) * ${real(sectors / Math.PI)} + 0.5));
  return ((sector % ${sectors}) + ${sectors}) % ${sectors};`,
  valley: (normal) => {
    if (!normal.length) return "return 0;";
    const square = normal.map((i) => `x["${i}"] * x["${i}"]`.replaceAll('"', "")).join(" + ");
    return `return ${square} < ${real(floor * floor)} ? 1 : 0;`;
  },
};

/** Some steps of every run. @param {import("./losses.js").Loss} loss @param {string} method */
export const runShader = (loss, method) => `${head(loss, method)}
uniform vec2 center;
uniform float reach;
uniform vec2 across;
uniform float size;
uniform int first;
uniform int steps;
uniform int blocks;
layout(location = 0) out vec4 point;
layout(location = 1) out vec4 memory;
int markOf(V x) { ${MARKS[loss.kind](loss.floor)} }
void main() {
  P x = load();
  vec4 m;
  if (first == 0) {
    x = P(V(center + reach * (gl_FragCoord.xy / size * 2.0 - 1.0)${ACROSS[loss.landscape.dim]}), V(0.0));
    m = vec4(float(markOf(x.hi)), 0.0, 0.0, 0.0);
  } else {
    m = texelFetch(marks, ivec2(gl_FragCoord.xy), 0);
  }
  int t = first;
  for (int block = 0; block < blocks; block++) {
    if (m.x < 0.0 || t >= steps${loss.kind === "direction" ? " || hasArrived(x)" : ""}) break;
    int count = min(${check}, steps - t);
    for (int i = 0; i < count; i++) x = next(x);
    t += count;
    float now = isInside(x.hi) ? float(markOf(x.hi)) : -1.0;
    if (now != m.x) m = vec4(now, float(t), 0.0, 0.0);
  }
  point = ${PACKED[loss.landscape.dim]};
  memory = m;
}`;

/** The coordinates that the map does not show, by D. @type {Record<number, string>} */
const ACROSS = { 2: "", 3: ", across.x", 4: ", across" };

/** What the ends are. @param {import("./losses.js").Loss} loss @param {string} method */
export const endShader = (loss, method) => `${head(loss, method)}
layout(location = 0) out vec4 cell;
const vec2 WHERE = vec2(1.0, ${loss.landscape.dim === 3 ? "0.0" : "1.0"}); // one coordinate along two valleys
void main() {
  P x = load();
  vec4 m = texelFetch(marks, ivec2(gl_FragCoord.xy), 0);
  if (m.x < 0.0) {
    cell = vec4(${real(labels.left)}, m.y, 0.0, 0.0);
    return;
  }
  ${CONCLUDE[loss.kind]}
}`;

const MIDDLE = `P after = next(x);
  V middle = 0.5 * (x.hi + after.hi);`;

/** @type {Record<import("./losses.js").Kind, string>} */
const CONCLUDE = {
  direction: `V u = unit(slope(x));
  cell = vec4(0.0, m.y, u.x * u.x - u.y * u.y, 2.0 * u.x * u.y);`,
  valley: `${MIDDLE}
  cell = vec4(0.0, m.y, middle.xy * WHERE);`,
  places: `${MIDDLE}
  float steep = length(slope(x));
  float label = float(placeAt(middle.xy));
  if (steep > ${rest} && length(between(x, after)) < ${rest} * lr * steep) label = ${real(labels.slope)};
  cell = vec4(label, m.y, middle.xy);`,
};
