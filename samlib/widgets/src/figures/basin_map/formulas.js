// The library that reads and differentiates formulas, as a script of its own: it comes when a reader wants a loss of
// their own. What it reads becomes a tape (tape.js).

import {
  absDependencies, addDependencies, atanDependencies, cosDependencies, coshDependencies, create,
  derivativeDependencies, divideDependencies, expDependencies, logDependencies, multiplyDependencies,
  parseDependencies, powDependencies, sinDependencies, sinhDependencies, sqrtDependencies, subtractDependencies,
  tanDependencies, tanhDependencies, unaryMinusDependencies, unaryPlusDependencies,
} from "mathjs/number"; // prettier-ignore
import { offer } from "../../shared/parts.js";
import { readFormula } from "./read.js";

const library = create({
  absDependencies, addDependencies, atanDependencies, cosDependencies, coshDependencies,
  derivativeDependencies, divideDependencies, expDependencies, logDependencies, multiplyDependencies,
  parseDependencies, powDependencies, sinDependencies, sinhDependencies, sqrtDependencies, subtractDependencies,
  tanDependencies, tanhDependencies, unaryMinusDependencies, unaryPlusDependencies,
}); // prettier-ignore

/** @param {string} text */
const read = (text) => readFormula(text, /** @type {any} */ (library));

export { read };
offer("formulas", { read });
