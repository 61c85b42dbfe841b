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

/** How many vectors the basis may hold; how many products lie between two looks; how many pairs are kept beyond. */
const [CAPACITY, BETWEEN_LOOKS, BEYOND] = [52, 8, 4];

/** So many directions that are not exact enough are followed at once. */
const WIDEST = 6;

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
  for (;;) {
    extend(subspace, block, most);
    const pairs = subspace.ritz();
    const top = pairs.slice(0, wanted);
    const errors = errorsOf(pairs, top.length);
    const open = top.map((_, i) => i).filter((i) => !(errors[i] <= rtol * Math.abs(top[i].value)));
    const stuck = subspace.products >= most || subspace.size === dim || !pairs.every(({ value }) => Number.isFinite(value));
    if (top.length === wanted && (open.length === 0 || stuck)) {
      const kept = pairs.slice(0, wanted + BEYOND).map((pair) => subspace.vector(pair));
      return {
        values: Float64Array.from(top, ({ value }) => value), errors, kept, vectors: kept.slice(0, wanted),
        products: subspace.products, converged: open.length === 0,
      }; // prettier-ignore
    }
    // Outside the basis, H q is the residual.
    block = open.slice(0, WIDEST).map((i) => subspace.image(top[i]));
    if (top.length < wanted) block.push(random());
    if (subspace.size + BETWEEN_LOOKS > CAPACITY) subspace.restart(pairs.slice(0, wanted + 2 * BEYOND));
  }
}

/**
 * Add a block, then what H makes of it, and so on until there are some products to look at.
 *
 * @param {ReturnType<typeof createSubspace>} subspace @param {Float64Array[]} block @param {number} most
 */
function extend(subspace, block, most) {
  const enough = Math.min(subspace.products + BETWEEN_LOOKS, most);
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
