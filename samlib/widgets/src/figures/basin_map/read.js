// Reading a formula: what may stand in it, where it is wrong, and its tape with both derivatives of it.

import { constants } from "../../schema.js";
import { criticalPoints } from "./places.js";

/** @typedef {import("./tape.js").Formula} Formula */
/** @typedef {import("./tape.js").Entry} Entry */
/** @typedef {import("./tape.js").Op} Op */

/**
 * A part of a formula, as the library has it.
 *
 * @typedef {object} Part
 * @property {string} type
 * @property {any} [value]
 * @property {string} [name]
 * @property {string} [op]
 * @property {Part[]} [args]
 * @property {Part} [content]
 * @property {boolean} [implicit]
 * @property {() => string} toString
 */

/** @typedef {{parse: (text: string) => Part, derivative: (part: Part, by: string) => Part}} Library */

const { functions, longest } = constants.basin_map;

/** @type {Record<string, Op>} */
const OPERATORS = { "+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow" };

/** Whole exponents up to this are products: exact, and right for what is negative. */
const MOST_FACTORS = 16;

/** What a formula may have, as a message says it. */
const ALLOWED = `x, y, numbers, + − * / ^ and ${functions.join(", ")}`;

/**
 * @param {string} text @param {Library} library
 * @returns {Formula}
 * @throws {SyntaxError} with a sentence that says what is wrong, and where
 */
export function readFormula(text, library) {
  if (text.length > longest) throw new SyntaxError(`A formula may have ${longest} characters; this one has ${text.length}.`);
  if (!text.trim()) throw new SyntaxError("The formula is empty: write one in x and y, such as x^2 + y^2.");
  const value = parsed(text, library);
  refuseStrangers(value, text);
  const by = (/** @type {Part} */ part, /** @type {string} */ name) => library.derivative(part, name);
  const [x, y] = [by(value, "x"), by(value, "y")];
  const tape = createTape();
  const formula = {
    text,
    tape: tape.entries,
    value: tape.add(value),
    gradient: [x, y].map(tape.add),
    hessian: [by(x, "x"), by(x, "y"), by(x, "y"), by(y, "y")].map(tape.add),
    places: /** @type {import("./losses.js").Place[]} */ ([]),
  };
  formula.places = criticalPoints(formula);
  return formula;
}

/** @param {string} text @param {Library} library @returns {Part} */
function parsed(text, library) {
  try {
    return library.parse(text);
  } catch (error) {
    const { char, message } = /** @type {{char?: number, message: string}} */ (error);
    const what = message.replace(/ \(char \d+\)/, "").replace(/\.$/, "");
    throw new SyntaxError(`At ${placeOf(text, (char ?? 1) - 1)}: ${what[0].toLowerCase()}${what.slice(1)}.`);
  }
}

/** Where something stands in a text, in words. @param {string} text @param {number} at */
function placeOf(text, at) {
  if (at >= text.length) return "the end of the formula";
  const rest = text.slice(at).trim();
  return `character ${at + 1}, “${rest.length > 12 ? `${rest.slice(0, 12)}…` : rest}”`;
}

/** Refuse what is no part of a formula in x and y. @param {Part} part @param {string} text */
function refuseStrangers(part, text) {
  const { type, name = "", op = "", args = [], content } = part;
  const refuse = (/** @type {string} */ what, /** @type {string} */ why) => {
    const at = text.search(new RegExp(`(?<![\\w.])${what.replace(/[^\w]/g, "\\$&")}`));
    throw new SyntaxError(`${at < 0 ? "" : `At ${placeOf(text, at)}: `}${why}`);
  };
  if (type === "ParenthesisNode" && content) return refuseStrangers(content, text);
  if (type === "ConstantNode" && typeof part.value === "number") return;
  if (type === "SymbolNode") {
    if (["x", "y", "pi", "e"].includes(name)) return;
    refuse(name, `${name} is no variable; a formula has ${ALLOWED}.`);
  }
  if (type === "FunctionNode") {
    const called = String(/** @type {any} */ (part).fn?.name ?? name);
    if (!functions.includes(called)) refuse(called, `${called} is no function that is known; a formula has ${ALLOWED}.`);
    if (args.length !== 1) refuse(called, `${called} takes one number.`);
    return refuseStrangers(args[0], text);
  }
  if (type !== "OperatorNode" || !(op in OPERATORS)) {
    refuse(op || part.toString(), `this is no part of a formula; it has ${ALLOWED}.`);
  }
  if (part.implicit) {
    const [first, second] = args.map(String);
    refuse(first, `a product needs its sign: ${first} * ${second}.`);
  }
  for (const arg of args) refuseStrangers(arg, text);
}

/** A tape that has nothing twice. */
function createTape() {
  /** @type {Entry[]} */
  const entries = [["x", 0, 0], ["y", 0, 0]]; // prettier-ignore
  const known = new Map(entries.map((entry, i) => [String(entry), i]));
  const put = (/** @type {Op} */ op, a = 0, b = 0) => {
    const key = String([op, a, b]);
    const before = known.get(key);
    if (before !== undefined) return before;
    known.set(key, entries.length);
    return entries.push([op, a, b]) - 1;
  };
  const number = (/** @type {number} */ value) => put("number", value);

  /** @param {number} base @param {number} times ≥ 1 @returns {number} */
  const product = (base, times) => {
    if (times === 1) return base;
    const half = product(base, times >> 1);
    const square = put("mul", half, half);
    return times % 2 ? put("mul", square, base) : square;
  };

  /** @param {number} base @param {Part} exponent */
  const power = (base, exponent) => {
    const entry = add(exponent);
    const n = valueOf(entry);
    if (!Number.isInteger(n) || Math.abs(n) > MOST_FACTORS) return put("pow", base, entry);
    if (n === 0) return number(1);
    const whole = product(base, Math.abs(n));
    return n > 0 ? whole : put("div", number(1), whole);
  };

  /** The number that an entry is, if it is one. @param {number} entry @returns {number} */
  const valueOf = (entry) => {
    const [op, a] = entries[entry];
    if (op === "neg") return -valueOf(a);
    return op === "number" ? a : NaN;
  };

  /** The entry of a part, and before it all that it needs. @param {Part} part @returns {number} */
  function add(part) {
    const { type, args = [], op = "", name = "" } = part;
    if (type === "ParenthesisNode") return add(/** @type {Part} */ (part.content));
    if (type === "ConstantNode") return number(Number(part.value));
    if (type === "SymbolNode") return name === "x" ? 0 : name === "y" ? 1 : number(NUMBERS[name]);
    if (type === "FunctionNode") return call(String(/** @type {any} */ (part).fn?.name ?? name), args);
    if (args.length === 1) return op === "-" ? put("neg", add(args[0])) : add(args[0]);
    if (op === "^") return power(add(args[0]), args[1]);
    // Sums and products may have more than two parts.
    return args.slice(1).reduce((so, arg) => put(OPERATORS[op], so, add(arg)), add(args[0]));
  }

  /** A function, also one that only derivatives have. @param {string} name @param {Part[]} args */
  function call(name, args) {
    const a = add(args[0]);
    const inverse = INVERSES[name];
    if (inverse) return put("div", number(1), put(inverse, a));
    if (!functions.includes(name)) throw new SyntaxError(`The derivative has ${name}, which is not known here.`);
    return put(/** @type {Op} */ (name), a);
  }

  return { entries, add };
}

/** @type {Record<string, number>} */
const NUMBERS = { pi: Math.PI, e: Math.E };

/** One over what functions of derivatives are. @type {Record<string, Op>} */
const INVERSES = { sec: "cos", sech: "cosh", csc: "sin", csch: "sinh", cot: "tan", coth: "tanh" };
