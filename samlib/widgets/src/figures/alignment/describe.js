// What the figure "Alignment" shows, in words.

import { count, number } from "../../shared/format.js";

/** @typedef {import("./world.js").World} World */

/**
 * One sentence that says what is shown.
 *
 * @param {World} world
 * @returns {string}
 */
export function describe(world) {
  const { state, sam, flat, dim } = world;
  const opening = `Step ${count(state.frame)}: `;
  const distance = world.distance(sam.x, state.frame * dim);
  if (diverges(world)) {
    const first = state.lr * world.sharpness(state.start);
    const gone = Number.isFinite(distance) ? `at ‖x‖ = ${number(distance)}` : "beyond all floating-point numbers";
    return `${opening}diverging, because ηλ₁ = ${number(first)} is more than 2; SAM is ${gone}.`;
  }
  return opening + (flat ? describeFlat(world, distance) : describeValley(world, distance));
}

/** @param {World} world */
function diverges(world) {
  const { state, sam, flat, dim } = world;
  const product = state.lr * world.sharpness(sam.x, state.frame * dim);
  const start = world.distance(state.start);
  const end = world.distance(sam.x, state.steps * dim);
  return (flat && product > 2) || !(end < 1e3 * Math.max(start, 1));
}

/** On the quadratic. @param {World} world @param {number} distance */
function describeFlat(world, distance) {
  const { state, sam, descent, at, descentAt, dim } = world;
  const now = state.frame * dim;
  const lambda1 = world.sharpness(sam.x, now);
  const where = `‖x‖ = ${number(distance)}${limitOf(world, lambda1)}`;
  const set = state.invariant ? enclosed(world) : "";
  if (state.eigenvalues.filter((v) => v === lambda1).length > 1) {
    const rest = `gradient descent is at ‖x‖ = ${number(world.distance(descent.x, now))}`;
    return `λ₁ is a double eigenvalue, so v₁ is not unique and ${where}; ${rest}${set}.`;
  }
  const other = Number.isNaN(descentAt.angle)
    ? "gradient descent has arrived"
    : `gradient descent’s is ${angle(descentAt.angle)} from it`;
  return `SAM’s gradient is ${angle(at.angle)} from v₁ and ${where}; ${other}${set}.`;
}

/** On the four-dimensional loss. @param {World} world @param {number} distance */
function describeValley(world, distance) {
  const { state, sam, descent, at, dim } = world;
  const now = state.frame * dim;
  const lambda1 = world.sharpness(sam.x, now);
  const where = `at distance ${number(distance)} from Γ${limitOf(world, lambda1)}`;
  const rest = number(world.sharpness(descent.x, now), 4);
  return (
    `SAM’s gradient is ${angle(at.angle)} from v₁, ${where}, where λ₁ = ${number(lambda1, 4)}; ` +
    `gradient descent has λ₁ = ${rest}.`
  );
}

/** @param {World} world @param {number} lambda1 */
function limitOf(world, lambda1) {
  const radius = world.radius(lambda1);
  return Number.isFinite(radius) ? ` (predicted limit ${number(radius)})` : "";
}

/** @param {number} a */
const angle = (a) => (Number.isNaN(a) ? "no angle" : degrees(a));

/** Where SAM is with respect to the invariant set. @param {World} world */
function enclosed(world) {
  const { state, dim } = world;
  if (state.rho === 0) return "; with ρ = 0 there is no invariant set";
  if (!world.hasInvariantSet()) return "; there is no invariant set, because ηλ₁ is not below 1";
  const since = world.since();
  if (since <= state.frame) return `; SAM is inside the invariant set since step ${count(since)}`;
  return `; SAM meets ${world.conditions()} of the ${dim} conditions of the invariant set`;
}

/** @param {number} angle */
const degrees = (angle) => (angle < 0.001 ? "less than 0.001°" : `${number(angle, angle < 1 ? 2 : 3)}°`);
