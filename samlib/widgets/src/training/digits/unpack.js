// scikit-learn's digits out of their packed form: 1,797 images of 8 × 8 pixels with values from 0 to 16, in the order
// that samlib.problems.digits gives them. An arithmetic decoder (Rissanen and Langdon 1979) with the guesses of guess.js;
// pack_digits.js, beside build.js, is its counterpart.

import { walk } from "./guess.js";
import { packed } from "./packed.js";

export const IMAGES = 1797;
export const PIXELS = 64;

/** What the labels take at the beginning: two digits in seven bits. */
const FOR_LABELS = Math.ceil((Math.ceil(IMAGES / 2) * 7) / 8);

/** @typedef {{images: Uint8Array, labels: Uint8Array}} Digits 64 values an image, row by row; a label an image */

/** @returns {Digits} */
export function unpackDigits() {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const labels = unpackLabels(bytes);
  const images = new Uint8Array(IMAGES * PIXELS);
  walk(images, labels, decoder(bytes.subarray(FOR_LABELS)));
  return { images, labels };
}

/** @param {Uint8Array} bytes */
function unpackLabels(bytes) {
  const labels = new Uint8Array(IMAGES);
  for (let k = 0; k < IMAGES; k += 2) {
    const first = (k / 2) * 7;
    let pair = 0;
    for (let b = first; b < first + 7; b++) pair = 2 * pair + ((bytes[b >> 3] >> (7 - (b & 7))) & 1);
    labels[k] = Math.floor(pair / 10);
    labels[k + 1] = pair % 10; // beyond the end this is dropped
  }
  return labels;
}

/** Reads the answers: `low` to `high` is what is left of the 32-bit numbers. @param {Uint8Array} bytes */
function decoder(bytes) {
  let at = 0;
  let [low, high, value] = [0, 0xffffffff, 0];
  const next = () => bytes[at++] ?? 0;
  for (let i = 0; i < 4; i++) value = ((value << 8) | next()) >>> 0;
  return (/** @type {number} */ p) => {
    const middle = low + Math.floor((high - low) * p);
    const bit = value <= middle ? 1 : 0;
    if (bit) high = middle;
    else low = middle + 1;
    while (((low ^ high) & 0xff000000) === 0) {
      low = (low << 8) >>> 0;
      high = ((high << 8) | 255) >>> 0;
      value = ((value << 8) | next()) >>> 0;
    }
    return bit;
  };
}
