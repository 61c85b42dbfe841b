// What the figure "LimitingFlow" shows, in words.

import { flowAt } from "../../dynamics/flow.js";
import { constants } from "../../schema.js";
import { count, number } from "../../shared/format.js";
import { CHECKPOINTS, MOST_STEPS, errorOf, flowsOf } from "./training.js";

/** @typedef {import("./bench.js").Bench} Bench */
/** @typedef {import("../../dynamics/flow.js").Regularizer} Regularizer */

const { points: POINTS } = constants.limiting_flow;

/** The name of SAM on batches of m. @param {number} size */
const nameOf = (size) => (size === 1 ? "1-SAM" : size === POINTS ? "full-batch SAM" : `SAM on batches of ${size}`);

/** @param {Bench} bench */
export function whenOf(bench) {
  const { course } = bench;
  if (!course) return "training";
  const n = bench.shown();
  return `τ = ${number(course.tau[n])}, step ${count(course.steps[n])}`;
}

/** A share in per cent. @param {number} share */
const percent = (share) => `${number(100 * share, 2)} %`;

/** One sentence that says what is shown. @param {Bench} bench */
export function describe(bench) {
  const { course, settings, ground } = bench;
  if (!course || !settings || !ground) return "The network is being fitted by gradient descent.";
  const n = bench.shown();
  const who = `${nameOf(settings.batch_size)} with η = ${number(settings.lr)} and ρ = ${number(settings.rho)}`;
  const when = `Step ${count(course.steps[n])}, τ = ${number(course.tau[n])}: `;
  if (bench.diverged(n)) return `${when}${who} diverges, because η is too large for it.`;
  if (Number.isNaN(course.top_eigenvalue[n])) {
    return `${when}${who} is too far from Γ for a comparison with the flows.`;
  }
  if (course.tau[n] > ground.flows.top_eigenvalue.horizon) {
    return `${when}one step of ${who} goes farther than the flows are followed, to τ = ηρ².`;
  }
  const names = flowsOf(settings.batch_size);
  const parts = names.map((name) => compared(course, ground.flows[name], name, n));
  const errors = names.map((name) => errorOf(course, ground.flows, name));
  const most = errors.some(Number.isNaN) ? "" : `, ${errors.map(percent).join(" and ")} at most on the way`;
  const angle = `the cosine between ∇L and v₁ is ${number(course.alignment[n])}`;
  const more = bench.busy ? `; training, ${Math.round((100 * course.done) / CHECKPOINTS)} % done` : "";
  return `${when}${who} has ${parts.join(" and ")}${most}; ${angle}${more}.${stoppedEarly(course, settings.time)}`;
}

/** @typedef {import("./training.js").Course} Course */

/** λ₁ or the trace, and that of the flow. @param {Course} course @param {import("../../dynamics/flow.js").Flow} along @param {Regularizer} name @param {number} n */
function compared(course, along, name, n) {
  const flow = flowAt(along, name, course.tau[n]);
  const value = `${name === "trace" ? "trace" : "λ₁"} = ${number(course[name][n])}`;
  if (Number.isNaN(flow)) {
    return `${value} (the limiting flow ended at τ = ${number(along.end)})`;
  }
  const apart = percent(Math.abs(course[name][n] - flow) / flow);
  return `${value} (limiting flow of ${the(name)} ${number(flow)}, ${apart} apart)`;
}

/** @param {Course} course @param {number} time */
function stoppedEarly(course, time) {
  const last = course.steps[CHECKPOINTS];
  if (last !== MOST_STEPS || course.tau[CHECKPOINTS] >= time * 0.999) return "";
  return ` After ${count(last)} steps the run is stopped, before τ = ${number(time)}.`;
}

/** @param {Regularizer} name */
const the = (name) => (name === "trace" ? "the trace" : "λ₁");
