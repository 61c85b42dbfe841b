// How far random directions climb in a bowl of many dimensions with the eigenvalues λ₁/i, as a share of the worst one.

import { randomWords } from "../../dynamics/random.js";
import { constants } from "../../schema.js";

export const { directions: DIRECTIONS, most: MOST } = constants.random_directions;

/**
 * Directions that grow: more dimensions add coordinates and change none. They are Gaussian vectors, by Box and
 * Muller's method from two words of mulberry32 for each pair of coordinates.
 *
 * @param {number} seed
 */
export function createDirections(seed) {
  const squares = new Float64Array(DIRECTIONS * MOST);
  let known = 0; // so many coordinates of each direction are drawn, in pairs

  /** @param {number} dimension */
  function grow(dimension) {
    const wanted = Math.min(2 * Math.ceil(dimension / 2), MOST);
    if (wanted <= known) return;
    for (let k = 0; k < DIRECTIONS; k++) {
      const words = randomWords(seed, k * MOST + known, wanted - known);
      for (let i = known; i < wanted; i += 2) {
        const first = words[i - known];
        const second = words[i - known + 1];
        const length = -2 * Math.log((first + 0.5) / 2 ** 32);
        const cosine = Math.cos((2 * Math.PI * second) / 2 ** 32);
        const sine = Math.sin((2 * Math.PI * second) / 2 ** 32);
        squares[k * MOST + i] = length * cosine * cosine;
        squares[k * MOST + i + 1] = length * sine * sine;
      }
    }
    known = wanted;
  }

  return {
    /** uᵀ∇²L u/λ₁ of each direction u. @param {number} dimension @returns {Float64Array} */
    shares(dimension) {
      grow(dimension);
      const found = new Float64Array(DIRECTIONS);
      for (let k = 0; k < DIRECTIONS; k++) {
        let [rise, length] = [0, 0];
        for (let i = 0; i < dimension; i++) {
          const square = squares[k * MOST + i];
          rise += square / (i + 1);
          length += square;
        }
        found[k] = rise / length;
      }
      return found;
    },
  };
}

/** Tr ∇²L/(Dλ₁), the mean over all directions. @param {number} dimension */
export function averageShare(dimension) {
  let sum = 0;
  for (let i = 1; i <= dimension; i++) sum += 1 / i;
  return sum / dimension;
}
