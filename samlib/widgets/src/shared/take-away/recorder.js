// What a figure draws on its canvases, as a list of calls, which can be made again in another size or as an SVG.
//
// For one drawing, each canvas' context gets properties of its own that lie over those of its class: they note what is
// called and pass it on. A figure draws as ever and knows nothing of it, and afterwards nothing is left of them.

import { rememberingPath } from "./recorded-path.js";

/** @typedef {[name: string, ...args: any[]]} Call of a method; or "=", the name of a property, and its value */

/** Methods that only ask. */
const QUESTIONS = /^(get|is|measure|create)/;

/**
 * Draw, and note what is drawn on each canvas.
 *
 * @param {HTMLCanvasElement[]} canvases @param {() => void} draw
 * @returns {Map<HTMLCanvasElement, Call[]>} those that have a context of two dimensions
 */
export function record(canvases, draw) {
  /** @type {Map<HTMLCanvasElement, Call[]>} */
  const recorded = new Map();
  const undo = [];
  const Native = globalThis.Path2D;
  globalThis.Path2D = rememberingPath(Native);
  try {
    for (const canvas of canvases) {
      const context = canvas.getContext("2d");
      if (!context) continue; // it is drawn on by a shader
      /** @type {Call[]} */
      const calls = [];
      recorded.set(canvas, calls);
      undo.push(listenTo(context, calls));
    }
    draw();
  } finally {
    globalThis.Path2D = Native;
    for (const each of undo) each();
  }
  return recorded;
}

/** @param {any} context @param {Call[]} calls @returns {() => void} leaves the context as it was */
function listenTo(context, calls) {
  /** @type {string[]} */
  const covered = [];
  const own = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(context));
  for (const [name, { value, get, set }] of Object.entries(own)) {
    if (typeof value === "function" && name !== "constructor" && !QUESTIONS.test(name)) {
      cover(name, {
        value(/** @type {any[]} */ ...args) {
          calls.push([name, ...args.map((arg) => (Array.isArray(arg) ? [...arg] : arg))]);
          return value.apply(context, args);
        },
      });
    } else if (get && set) {
      cover(name, {
        get: () => get.call(context),
        set(/** @type {any} */ to) {
          set.call(context, to);
          calls.push(["=", name, get.call(context)]); // a colour as the browser writes it
        },
      });
    }
  }
  /** @param {string} name @param {PropertyDescriptor} property */
  function cover(name, property) {
    Object.defineProperty(context, name, { configurable: true, ...property });
    covered.push(name);
  }
  return () => covered.forEach((name) => delete context[name]);
}
