// What is shown, in a sentence.

import { count, number } from "../../shared/format.js";
import { latest } from "./history.js";
import { methodOf } from "./lines.js";
import { METHODS, PERTURBED, edgeOf } from "./methods.js";

/** @typedef {import("./figure.js").View} View */

/** @param {View} view */
export function describe(view) {
  const { status, error } = view.session.now;
  const said = view.hasTrained() ? saysSteps(view) : saysStart(view);
  if (status !== "failed") return said;
  const shown = view.course() ? " The picture shows what samlib computed." : "";
  return `${error.replace(/[^.!?]$/, "$&.")}${shown} ${said}`;
}

/** What samlib computed, in the words of Python's sentence; or what is about to begin. @param {View} view */
function saysStart(view) {
  const course = view.course();
  if (!course) return `${network(view)}, η = ${number(view.state.lr)}: ready to train by ${named(view, 0)} and by ${named(view, 1)}.`;
  const parts = /** @type {const} */ ([0, 1]).map((run) => {
    const top = course.top[run].at(-1);
    if (top === null || top === undefined) return `${named(view, run)} has diverged`;
    const wrong = `${count(course.wrong[run])} of ${count(course.test_rows)} test digits`;
    return `${named(view, run)} has λ₁ = ${number(top, 2)} and misreads ${wrong}`;
  });
  const steps = count(/** @type {number} */ (course.steps.at(-1)));
  return `${network(view)}, η = ${number(view.state.lr)}: after ${steps} steps ${parts.join("; ")}.`;
}

/** Where both runs are. @param {View} view */
function saysSteps(view) {
  const { session, state } = view;
  const { looks } = session.now.history;
  const parts = /** @type {const} */ ([0, 1]).map((run) => {
    if (session.now.lost[run]) return `${named(view, run)} has diverged`;
    const at = looks.at(-1)?.runs[run];
    const test = latest(looks, run, "test") ?? NaN;
    const wrong = Math.round((1 - test) * view.testRows());
    return `${named(view, run)} has λ₁ = ${number(at?.top ?? NaN, 2)}${edge(view, run, at?.norm)}, training loss ${number(at?.loss ?? NaN, 2)} and ${wrong} test digits wrong`;
  });
  return `Step ${count(session.now.step)}, η = ${number(state.lr)}: ${parts.join("; ")}.`;
}

/** @param {View} view @param {0 | 1} run @param {number | undefined} norm */
function edge({ state }, run, norm) {
  const value = norm === undefined ? NaN : edgeOf(methodOf(state, run), state, norm);
  return Number.isFinite(value) ? ` (its edge: ${number(value, 2)})` : "";
}

/** @param {View} view @param {0 | 1} run */
function named({ state }, run) {
  const method = methodOf(state, run);
  const moves = state.switch_step > 0 && state.switch_rho !== state.rho ? `, ${number(state.switch_rho)} from step ${count(state.switch_step)}` : "";
  return METHODS[method] + (PERTURBED.has(method) ? ` with ρ = ${number(state.rho)}${moves}` : "");
}

/** @param {View} view */
function network({ state: { network, width, rows, shuffled } }) {
  const what = network === "perceptron" ? `A perceptron with ${count(75 * width + 10)} weights` : "A convolutional network";
  const mixed = shuffled ? `, ${number(100 * shuffled)} % of their labels shuffled` : "";
  return `${what} on ${count(rows)} digits${mixed}`;
}
