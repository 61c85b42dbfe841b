// The weights that torch gives new layers, so that a seed means the same network on a page and in Python.

import { mersenneTwister } from "../../dynamics/mersenne.js";

/**
 * Uniform in ±1/√fan, matrix after matrix, each followed by its bias: samlib.problems.perceptron(…, seed=seed), and
 * torch's Conv2d alike.
 *
 * @param {{layers: import("./layers.js").Layer[], dim: number}} network @param {number} seed
 */
export function startOf({ layers, dim }, seed) {
  const { word } = mersenneTwister(seed);
  const x = new Float64Array(dim);
  const uniform = () => {
    const high = word() & 0x1fffff;
    return (high * 2 ** 32 + word()) / 2 ** 53;
  };
  /** @param {number} from @param {number} to @param {number} bound */
  const fill = (from, to, bound) => {
    for (let i = from; i < to; i++) x[i] = uniform() * (bound - -bound) + -bound;
  };
  for (const { weights, bias, outputs, fan } of layers) {
    // In torch's order of operations: the last digit counts.
    fill(weights, bias, Math.sqrt(3) * (Math.sqrt(2 / (1 + Math.sqrt(5) ** 2)) / Math.sqrt(fan)));
    fill(bias, bias + outputs, 1 / Math.sqrt(fan));
  }
  return x;
}
