// The numbers behind the pictures of the figure "TrainYourself".

import { tableOfColumns } from "../../shared/take-away/table.js";
import { PERTURBED, edgeOf } from "./methods.js";
import { rulesOf } from "./settings.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./history.js").Reading} Reading */
/** @typedef {import("../../training/api.js").TrainingRule} TrainingRule */

export const RUNS = /** @type {const} */ (["first", "second"]);

const UNITS =
  "step; for each run the lr and rho of the step before, loss of training, gradient_norm, train_accuracy and test_accuracy (shares of the rows), " +
  "edge, the curvature at which a step of the full batch ceases to be stable, eigenvalue_1, … of the Hessian, the largest first, alignment, |cos| " +
  "of the gradient with v1, top_alignment, with the span of v1, …, v10, trace of the Hessian and its standard error; nan where it was not measured";

/** What each column is called, but for those that are made of the rule. @type {Record<string, (reading: Reading) => number | undefined>} */
const COLUMNS = {
  loss: ({ loss }) => loss,
  gradient_norm: ({ norm }) => norm,
  train_accuracy: ({ train }) => train,
  test_accuracy: ({ test }) => test,
  eigenvalue_1: ({ top }) => top,
  ...Object.fromEntries(
    Array.from({ length: 9 }, (_, k) => [`eigenvalue_${k + 2}`, (/** @type {Reading} */ { eigenvalues }) => eigenvalues?.[k + 1]]),
  ),
  alignment: ({ alignment }) => alignment,
  top_alignment: ({ share }) => share,
  trace: ({ trace }) => trace,
  trace_error: ({ traceError }) => traceError,
};

/** @param {View} view */
export function tableOf(view) {
  const course = view.hasTrained() ? null : view.course();
  if (course) return tableOfCourse(course);
  const { looks } = view.session.now.history;
  const columns = RUNS.flatMap((name, run) =>
    Object.entries(columnsOf(view, run)).map(([quantity, values]) => [`${name}_${quantity}`, values]),
  );
  return tableOfColumns(UNITS, { step: looks.map(({ step }) => step), ...Object.fromEntries(columns) });
}

/** What samlib computed, which is shown before the page trains. @param {import("./course.js").Course} course */
function tableOfCourse({ steps, top, edge }) {
  const numbers = (/** @type {(number | null)[]} */ values) => values.map((value) => value ?? NaN);
  const columns = RUNS.flatMap((name, run) => [[`${name}_eigenvalue_1`, numbers(top[run])], [`${name}_edge`, numbers(edge[run])]]);
  return tableOfColumns(UNITS, { step: steps, ...Object.fromEntries(columns) });
} // prettier-ignore

/** The columns of a run, without what was never measured. @param {View} view @param {number} run */
function columnsOf(view, run) {
  const { looks } = view.session.now.history;
  const rules = looks.map(({ step }) => ruleBefore(view, step, run));
  /** A run that has diverged is nowhere. @param {(reading: Reading) => number | undefined} of */
  const read = (of) => looks.map(({ runs }) => (Number.isNaN(runs[run].norm) ? NaN : (of(runs[run]) ?? NaN)));
  const measured = Object.entries(COLUMNS).map(([name, of]) => /** @type {const} */ ([name, read(of)]));
  const norms = read(COLUMNS.gradient_norm);
  return {
    lr: rules.map(({ lr }) => lr),
    rho: rules.map(radiusOf),
    edge: rules.map((rule, i) => edgeOf(rule.name, { lr: rule.lr, rho: radiusOf(rule) }, norms[i])),
    ...Object.fromEntries(measured.filter(([, values]) => !values.every(Number.isNaN))),
  };
}

/** ρ, 0 for methods without. @param {TrainingRule} rule */
export const radiusOf = ({ name, rho = 0 }) => (PERTURBED.has(name) ? rho : 0);

/** What a run came to a step by; at the start, what it leaves by. @param {View} view @param {number} step @param {number} run */
function ruleBefore({ session, state }, step, run) {
  const { turns } = session.now;
  const turn = turns.filter((each) => each.step < step).at(-1) ?? turns[0] ?? { rules: rulesOf(state) };
  return turn.rules[run];
}
