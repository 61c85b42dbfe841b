// What the figure "Thermostat" shows, in words.

import { count, number, subscript } from "../../shared/format.js";

/** @typedef {import("./world.js").World} World */

/** A multiplier this near to ±1 in size keeps the length, to the eye. */
const NEAR = 5e-3;

/** One sentence that says what is shown. @param {World} world */
export function describe(world) {
  const { state } = world;
  const norm = world.norm();
  const opening = `Step ${count(state.frame)}: `;
  if (norm === 0) return `${opening}the gradient is zero.`;
  if (!Number.isFinite(norm)) return `${opening}the run diverges, and ‖∇L‖ is beyond all floating-point numbers.`;
  return `${opening}‖∇L‖ = ${number(norm)}${place(world, norm)}. ${growth(world)}`;
}

/** Where ‖∇L‖ is with respect to its balance. @param {World} world @param {number} norm */
function place({ state, balance }, norm) {
  const top = Math.max(...state.eigenvalues);
  if (Number.isNaN(balance)) return top > 0 ? `; ηλ₁ = ${number(state.lr * top)}, and from 2 on there is no balance` : "; no λ is positive, so there is no balance";
  if (Math.abs(norm / balance - 1) < 0.01) return `, at its balance ${number(balance)}`;
  return `, ${norm > balance ? "above" : "below"} its balance ${number(balance)}`;
} // prettier-ignore

/** Which components grow. @param {World} world */
function growth(world) {
  const { eigenvalues } = world.state;
  const parts = eigenvalues
    .map((lambda, i) => ({ rank: world.ranks[i], m: world.multiplier(lambda) }))
    .sort((a, b) => a.rank - b.rank);
  const grown = parts.filter(({ m }) => Math.abs(m) > 1 + NEAR);
  const kept = parts.filter(({ m }) => Math.abs(Math.abs(m) - 1) <= NEAR);
  const list = (/** @type {typeof parts} */ some) => some.map(name).join(" and ");
  if (grown.length === parts.length) return "It grows along every eigenvector.";
  const rest = grown.length + kept.length === parts.length - 1 ? "the other shrinks" : "all others shrink";
  if (grown.length) return `It grows along ${list(grown)}; ${rest}.`;
  if (kept.length) return `Along ${list(kept)} it keeps its length; ${rest}.`;
  return "It shrinks along every eigenvector.";
}

/** @param {{rank: number, m: number}} part */
const name = ({ rank, m }) => `v${subscript(rank)} (m = ${m < -1e6 ? "below −10⁶" : number(m)})`;
