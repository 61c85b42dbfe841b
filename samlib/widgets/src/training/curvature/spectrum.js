// The top eigenvalues of a symmetric matrix that is known by its products, by a block Lanczos iteration that begins where
// the last one ended: during training eigenvectors turn slowly, so that a few products suffice.

import { createSubspace } from "./subspace.js";

/** @typedef {import("./subspace.js").Ritz} Ritz */

/**
 * @typedef {object} Spectrum
 * @property {Float64Array} values largest first
 * @property {Float64Array} errors how far each may be from an eigenvalue: the residual ‖H q − θ q‖, or its square over
 *   the gap to the other Ritz values where that is smaller
 * @property {Float64Array[]} vectors unit eigenvectors
 * @property {Float64Array[]} kept from which the next one may begin
 * @property {number} products
 * @property {boolean} converged
 */

/** How many vectors the basis may hold, and how many pairs beyond those wanted are kept. */
const [CAPACITY, BEYOND] = [80, 4];

/** How many products come before the first look at a basis from nothing, and between two looks. */
const [FIRST_LOOK, BETWEEN_LOOKS] = [32, 8];

/** So many directions that are not exact enough are followed at once. */
const WIDEST = 3;

/**
 * @param {import("./subspace.js").Product} product @param {number} dim
 * @param {{count: number, rtol: number, most: number, start: Float64Array[], random: () => Float64Array}} options
 *   how many, to which relative error, with how many products at most, from which vectors, and random ones: beside the
 *   start an iteration begins from one, which finds what has come up anew
 * @returns {Spectrum}
 */
export function topSpectrum(product, dim, { count, rtol, most, start, random }) {
  const subspace = createSubspace(product, dim);
  const wanted = Math.min(count, dim);
  for (const vector of start) subspace.grow(vector.slice());
  let block = [random()];
  /** @type {Float64Array | null} the values when a random vector was last followed beside them */
  let seen = null;
  for (let look = 0; ; look++) {
    extend(subspace, block, most);
    const pairs = subspace.ritz(wanted);
    const values = Float64Array.from(pairs.slice(0, wanted), ({ value }) => value);
    const errors = errorsOf(pairs, values.length);
    const open = Array.from(values.keys()).filter((i) => !(errors[i] <= rtol * Math.abs(values[i])));
    if (look === 0 && start.length > 0) seen = values;
    const settled = open.length === 0 && values.length === wanted && isSame(seen, values, rtol);
    if (settled || subspace.products >= most || subspace.size === dim || !values.every(Number.isFinite)) {
      const kept = pairs.slice(0, wanted + BEYOND).map((pair) => subspace.vector(pair));
      return { values, errors, kept, vectors: kept.slice(0, wanted), products: subspace.products, converged: settled };
    }
    // Outside the basis, H q is the residual. Copies of a tied eigenvalue only random vectors find.
    block = open.slice(0, WIDEST).map((i) => subspace.image(pairs[i]));
    if (open.length === 0 || values.length < wanted) {
      block.push(random());
      seen = values;
    }
    if (subspace.size + BETWEEN_LOOKS > CAPACITY) subspace.restart(pairs.slice(0, wanted + 2 * BEYOND));
  }
}

/** Are they what they were? @param {Float64Array | null} before @param {Float64Array} now @param {number} rtol */
const isSame = (before, now, rtol) =>
  before?.length === now.length && now.every((value, i) => Math.abs(value - before[i]) <= rtol * Math.abs(value));

/**
 * Add a block, then what H makes of it, and so on until there are some products to look at.
 *
 * @param {ReturnType<typeof createSubspace>} subspace @param {Float64Array[]} block @param {number} most
 */
function extend(subspace, block, most) {
  const enough = Math.min(subspace.products + (subspace.size === 0 ? FIRST_LOOK : BETWEEN_LOOKS), most);
  for (let next = block; next.length > 0 && subspace.products < enough; ) {
    /** @type {Float64Array[]} */
    const images = [];
    for (const vector of next) {
      const image = subspace.size < CAPACITY ? subspace.grow(vector) : null;
      if (image) images.push(image.slice());
    }
    next = images;
  }
}

/** @param {Ritz[]} pairs @param {number} count of those wanted */
function errorsOf(pairs, count) {
  return Float64Array.from({ length: count }, (_, i) => {
    const { value, residual } = pairs[i];
    const gap = Math.min(...pairs.map((other, j) => (j === i ? Infinity : Math.abs(other.value - value)))) - residual;
    return gap > residual ? residual ** 2 / gap : residual;
  });
}
