// A recorded drawing once more, on another canvas.

import { painterOf } from "./painters.js";

/**
 * @param {import("./recorder.js").Call[]} calls @param {HTMLCanvasElement} drawn the canvas that they drew on
 * @param {number} scale pixels of the new canvas for each of that one
 * @returns {HTMLCanvasElement}
 */
export function replay(calls, drawn, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(drawn.width * scale);
  canvas.height = Math.round(drawn.height * scale);
  const context = /** @type {any} */ (canvas.getContext("2d"));
  const base = new DOMMatrix([scale, 0, 0, scale, 0, 0]);
  context.setTransform(base);
  let depth = 0;
  for (const [name, ...args] of calls) {
    if (name === "=") context[args[0]] = args[1];
    else if (name === "setTransform") context.setTransform(base.multiply(matrixOf(args)));
    else if (name === "resetTransform") context.setTransform(base);
    else if (name === "restore" && depth === 0) continue; // of what was saved before the recording
    else if (name === "drawImage" && painterOf(args[0])) paintAgain(context, args);
    else {
      depth += name === "save" ? 1 : name === "restore" ? -1 : 0;
      context[name](...args);
    }
  }
  return canvas;
}

/** @param {any[]} args of setTransform: six numbers, or an object that has them */
const matrixOf = (args) => (args.length === 6 ? new DOMMatrix(args) : DOMMatrix.fromMatrix(args[0]));

/** Sharp in the new size, too. @param {CanvasRenderingContext2D} context @param {any[]} args of drawImage */
function paintAgain(context, [image, x, y, width = image.width, height = image.height]) {
  context.save();
  context.translate(x, y);
  context.scale(width / image.width, height / image.height);
  painterOf(image)?.(context);
  context.restore();
}
