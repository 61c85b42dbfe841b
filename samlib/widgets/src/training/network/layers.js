// The networks as a list of layers. A convolution and a dense layer are one thing here: patches of what comes in, a
// matrix, a bias; a dense layer has one patch that is all of it.
//
// What belongs to a batch stands in columns: an array of features × positions × rows, the rows side by side. So every
// layer is one product of matrices whose long side are the rows, which is what SIMD likes.

/**
 * @typedef {{kind: "perceptron", width: number} | {kind: "convolutional", channels: number}} Network
 */

/**
 * @typedef {object} Layer
 * @property {number} outputs channels that come out
 * @property {number} fan what each of them is a sum of
 * @property {number} positions where they come out: 1, or the pixels of the layer
 * @property {number[] | null} taps which block (channel, pixel) of the layer before each entry of the patches is, −1
 *   outside the image; null where the patch is all that comes in
 * @property {number} weights where they begin in x, outputs × fan; the bias follows
 * @property {number} bias
 */

const SIDE = 8;
export const CLASSES = 10;

/** @param {Network} network @returns {{layers: Layer[], dim: number}} */
export function layersOf(network) {
  if (network.kind === "perceptron") {
    const { width } = network;
    return placed([dense(SIDE * SIDE, width), dense(width, CLASSES)]);
  }
  const { channels } = network;
  const half = SIDE / 2;
  return placed([
    convolution(1, channels, SIDE, 1),
    convolution(channels, 2 * channels, SIDE, 2),
    dense(2 * channels * half * half, CLASSES),
  ]);
}

/** @param {number} fan @param {number} outputs */
const dense = (fan, outputs) => ({ outputs, fan, positions: 1, taps: null });

/**
 * 3 × 3, with a border of zeros one pixel wide. @param {number} inputs channels @param {number} outputs
 * @param {number} side of what comes in @param {number} stride
 */
function convolution(inputs, outputs, side, stride) {
  const out = side / stride;
  const taps = [];
  for (let channel = 0; channel < inputs; channel++) {
    for (let tap = 0; tap < 9; tap++) {
      const [down, right] = [Math.floor(tap / 3) - 1, (tap % 3) - 1];
      for (let place = 0; place < out * out; place++) {
        const row = Math.floor(place / out) * stride + down;
        const column = (place % out) * stride + right;
        const inside = row >= 0 && row < side && column >= 0 && column < side;
        taps.push(inside ? (channel * side + row) * side + column : -1);
      }
    }
  }
  return { outputs, fan: 9 * inputs, positions: out * out, taps };
}

/** @param {Omit<Layer, "weights" | "bias">[]} layers */
function placed(layers) {
  let dim = 0;
  const all = layers.map((layer) => {
    const weights = dim;
    const bias = weights + layer.outputs * layer.fan;
    dim = bias + layer.outputs;
    return { ...layer, weights, bias };
  });
  return { layers: all, dim };
}
