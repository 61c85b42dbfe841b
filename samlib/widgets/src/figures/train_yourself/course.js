// What samlib computed of the state in which the figure opens: shown before the page trains by itself, and faintly beside
// it afterwards.

/**
 * @typedef {object} Course
 * @property {number[]} steps
 * @property {[(number | null)[], (number | null)[]]} top λ₁ of both runs
 * @property {[(number | null)[], (number | null)[]]} edge null where none is known
 * @property {[number, number]} wrong test digits that are read wrongly at the end
 * @property {[[number, string, number][], [number, string, number][]]} misread the first of them: number, pixels, answer
 * @property {number} test_rows
 */

/** What a course does not depend on. */
const IDLE = new Set(["panels", "precision"]);

/** ρ and η may be moved while it trains: the course stays as what would have been. */
const MOVING = new Set([...IDLE, "rho", "lr", "batch"]);

/** @param {any} a @param {any} b @param {Set<string>} but */
const same = (a, b, but) => Object.keys(a).every((name) => but.has(name) || a[name] === b[name]);

/**
 * The course, if it is one of this state.
 *
 * @param {import("./figure.js").State} initial the state that it belongs to @param {import("./figure.js").State} state
 * @param {Course | undefined} course @param {boolean} trained has the page trained?
 */
export function courseOf(initial, state, course, trained) {
  if (!course?.steps) return null;
  return same(initial, state, trained ? MOVING : IDLE) ? course : null;
}

/** @type {WeakMap<Course, import("./digits.js").Wrong[][]>} */
const read = new WeakMap();

/** The digits that a run of the course misreads at its end, the first of them. @param {Course} course @param {0 | 1} run */
export function misreadOf(course, run) {
  const found = read.get(course) ?? course.misread.map((each) => each.map(digitOf));
  read.set(course, found);
  return found[run];
}

/** Pixels are letters from 0 to g. @param {[number, string, number]} digit */
const digitOf = ([row, pixels, answer]) => ({ row, answer, pixels: Uint8Array.from(pixels, (letter) => Number.parseInt(letter, 17)) });
