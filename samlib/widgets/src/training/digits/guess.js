// What the next pixel of a digit is likely to be, for the packer and the unpacker alike: a mixture of three adaptive
// guesses, each of which looks at other neighbours. Only + − × ÷ and √ are used, which every browser rounds alike,
// so that what one machine packs any other unpacks.

const SIDE = 8;
const PIXELS = SIDE * SIDE;

/** A value from 0 to 16 is found by yes-or-no questions: is it 0, is it 16, then its four bits, upper ones first. */
const QUESTIONS = 17;

const GUESSES = 3;
const CONTEXTS = PIXELS * 10 + 5 ** 6 + PIXELS * 250;

/** How fast the mixture follows, how many answers a guess remembers, and how sure it may be. */
const [RATE, MEMORY, LEAST] = [0.02, 120, 1 / 4096];

/** A probability, stretched to the whole line, and back. @param {number} p */
const stretch = (p) => (p - 0.5) / Math.sqrt(p * (1 - p));
/** @param {number} x */
const squash = (x) => (1 + x / Math.sqrt(1 + x * x)) / 2;

/** Five shades of 17. @param {number} v */
const shade = (v) => (v === 0 ? 0 : v < 6 ? 1 : v < 12 ? 2 : v < 16 ? 3 : 4);

/**
 * What each guess knows of a pixel, as a number below CONTEXTS: its place and the label; six neighbours; the place,
 * the label and two neighbours.
 *
 * @param {Uint8Array} image @param {number} at @param {number} label @param {number[]} contexts filled
 */
function lookAround(image, at, label, contexts) {
  const row = Math.floor(at / SIDE);
  const column = at % SIDE;
  /** @param {number} up @param {number} left */
  const near = (up, left) =>
    row < up || column < left || column - left >= SIDE ? 0 : shade(image[at - up * SIDE - left]);
  const [west, north] = [near(0, 1), near(1, 0)];
  const six = [west, north, near(1, 1), near(1, -1), near(0, 2), near(2, 0)];
  const place = at * 10 + label;
  contexts[0] = place;
  contexts[1] = PIXELS * 10 + six.reduce((number, each) => 5 * number + each, 0);
  contexts[2] = PIXELS * 10 + 5 ** 6 + place * 25 + west * 5 + north;
}

/**
 * Go through all pixels of the digits. `code(p, bit)` is told how likely a yes is and returns the answer: the packer
 * knows it, the unpacker reads it.
 *
 * @param {Uint8Array} images 64 values an image; the unpacker's are filled @param {Uint8Array} labels
 * @param {(p: number, bit: number) => number} code
 */
export function walk(images, labels, code) {
  const ask = createGuess(code);
  const contexts = new Array(GUESSES).fill(0);
  for (let k = 0; k < labels.length; k++) {
    const image = images.subarray(k * PIXELS, (k + 1) * PIXELS);
    for (let at = 0; at < PIXELS; at++) {
      lookAround(image, at, labels[k], contexts);
      image[at] = valueOf(image[at], (question, bit) => ask(at, contexts, question, bit));
    }
  }
}

/**
 * Ask for a value. @param {number} value the packer's @param {(question: number, bit: number) => number} ask
 */
function valueOf(value, ask) {
  if (ask(0, value === 0 ? 1 : 0)) return 0;
  if (ask(1, value === 16 ? 1 : 0)) return 16;
  let found = 1;
  for (let place = 3; place >= 0; place--) found = 2 * found + ask(found + 1, (value >> place) & 1);
  return found - 16;
}

/** The mixture of guesses, which learns from each answer. @param {(p: number, bit: number) => number} code */
function createGuess(code) {
  const chances = new Float64Array(CONTEXTS * QUESTIONS).fill(0.5);
  const seen = new Uint8Array(CONTEXTS * QUESTIONS);
  const weights = new Float64Array(PIXELS * QUESTIONS * GUESSES).fill(0.35);
  const stretched = new Float64Array(GUESSES);

  /** @param {number} at @param {number[]} contexts @param {number} question @param {number} bit */
  return function ask(at, contexts, question, bit) {
    const first = (at * QUESTIONS + question) * GUESSES;
    let sum = 0;
    for (let i = 0; i < GUESSES; i++) {
      stretched[i] = stretch(chances[contexts[i] * QUESTIONS + question]);
      sum += weights[first + i] * stretched[i];
    }
    const p = Math.min(Math.max(squash(sum), LEAST), 1 - LEAST);
    const answer = code(p, bit);
    for (let i = 0; i < GUESSES; i++) {
      weights[first + i] += RATE * (answer - p) * stretched[i];
      const place = contexts[i] * QUESTIONS + question;
      seen[place] = Math.min(seen[place] + 1, MEMORY);
      chances[place] += (answer - chances[place]) / (seen[place] + 0.6);
    }
    return answer;
  };
}
