// Pack the digits for the page: `node samlib/widgets/pack_digits.js FILE` takes a file with 1,797 × 64 bytes
// of pixels, in the order of samlib.problems.digits, and 1,797 bytes of labels; it writes src/training/digits/packed.js.
// tests/widgets/test_training.py says how such a file is made, and that what is packed is what scikit-learn has.

import fs from "node:fs";
import { walk } from "./src/training/digits/guess.js";

const IMAGES = 1797;

/** Two labels in seven bits. @param {Uint8Array} labels */
function packLabels(labels) {
  const bytes = new Uint8Array(Math.ceil((Math.ceil(labels.length / 2) * 7) / 8));
  for (let k = 0; k < labels.length; k += 2) {
    const pair = labels[k] * 10 + (labels[k + 1] ?? 0);
    for (let b = 0; b < 7; b++) {
      const place = (k / 2) * 7 + b;
      bytes[place >> 3] |= ((pair >> (6 - b)) & 1) << (7 - (place & 7));
    }
  }
  return bytes;
}

/** An arithmetic encoder: its bytes, and the function that takes the answers. */
function encoder() {
  /** @type {number[]} */
  const bytes = [];
  let [low, high] = [0, 0xffffffff];
  const code = (/** @type {number} */ p, /** @type {number} */ bit) => {
    const middle = low + Math.floor((high - low) * p);
    if (bit) high = middle;
    else low = middle + 1;
    while (((low ^ high) & 0xff000000) === 0) {
      bytes.push(high >>> 24);
      low = (low << 8) >>> 0;
      high = ((high << 8) | 255) >>> 0;
    }
    return bit;
  };
  const end = () => bytes.push(high >>> 24, (high >>> 16) & 255, (high >>> 8) & 255, high & 255);
  return { bytes, code, end };
}

const raw = new Uint8Array(fs.readFileSync(process.argv[2]));
const [images, labels] = [raw.slice(0, IMAGES * 64), raw.slice(IMAGES * 64)];
const { bytes, code, end } = encoder();
walk(images, labels, code);
end();
const text = Buffer.from([...packLabels(labels), ...bytes]).toString("base64");
const head = "// Written by pack_digits.js: scikit-learn's digits (Alpaydin and Kaynak 1998, CC BY 4.0).\n\n";
fs.writeFileSync(new URL("src/training/digits/packed.js", import.meta.url), `${head}export const packed =\n  "${text}";\n`);
console.log(`${text.length} characters`);
