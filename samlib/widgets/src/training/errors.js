// What can go wrong when a training is opened, in words that a figure can show.

/** @typedef {"no-worker" | "no-webassembly" | "no-script" | "failed"} Code */

/** @type {Readonly<Record<Code, string>>} */
const WORDS = {
  "no-worker": "This browser lets the page start no worker, so that training would hold up the page.",
  "no-webassembly": "This browser has no WebAssembly with SIMD; training works in float64, which is slower.",
  "no-script": "The script that trains could not be loaded.",
  failed: "Training failed.",
};

export class TrainingError extends Error {
  /** @param {Code} code @param {string} [message] */
  constructor(code, message = WORDS[code]) {
    super(message);
    this.name = "TrainingError";
    this.code = code;
  }
}
