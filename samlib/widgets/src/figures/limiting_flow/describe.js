// What the figure "LimitingFlow" shows, in words.

import { flowAt } from "../../dynamics/flow.js";
import { constants } from "../../schema.js";
import { count, number } from "../../shared/format.js";
import { meanPoint, pointText } from "./directions.js";
import { CHECKPOINTS, MOST_STEPS, errorOf, flowsOf, followed } from "./training.js";

/** @typedef {import("./bench.js").Bench} Bench */
/** @typedef {import("../../dynamics/gamma.js").Regularizer} Regularizer */
/** @typedef {import("./training.js").Settings} Settings */

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
  const parts = names.map((name) => compared(bench, course, ground.flows, name, n));
  const errors = names.map((name) => errorOf(course, ground.flows, name));
  const most = errors.some(Number.isNaN) ? "" : `, ${errors.map(percent).join(" and ")} at most on the way`;
  const angle = `the cosine between ∇L and v₁ is ${number(course.alignment[n])}`;
  const points = settings.panel === "plane" ? pointing(course, n) : "";
  const more = bench.busy ? `; training, ${Math.round((100 * course.done) / CHECKPOINTS)} % done` : "";
  return `${when}${who} has ${parts.join(" and ")}${most}; ${angle}${points}${more}.${stoppedEarly(course, settings.time)}`;
}

/** @typedef {import("./training.js").Course} Course */

/** What the flow of λ₁ is called that a run is compared with. @type {Record<Settings["flow"], string>} */
const CALLED = {
  limit: "limiting flow of λ₁",
  rate: "flow of λ₁ at this η",
  both: "flow of λ₁ with both errors",
};

/** From this |ε| on of its two-cycle, SAM's second error is known only roughly; more than 1 cannot be. */
const ROUGH = 1;

/**
 * λ₁ or the trace, and that of the flow.
 *
 * @param {Bench} bench @param {Course} course @param {import("./training.js").Flows} flows
 * @param {Regularizer} name @param {number} n
 */
function compared({ settings }, course, flows, name, n) {
  const along = followed(course, flows, name);
  const called = name === "trace" ? "limiting flow of the trace" : CALLED[settings?.flow ?? "limit"];
  const flow = flowAt(along, name, course.tau[n]);
  const value = `${name === "trace" ? "trace" : "λ₁"} = ${number(course[name][n])}`;
  if (Number.isNaN(along[name][0])) return `${value} (there is no ${called}: η is above 2/λ₁)`;
  if (Number.isNaN(flow)) return `${value} (the ${called} ended at τ = ${number(along.end)})`;
  const apart = percent(Math.abs(course[name][n] - flow) / flow);
  const rough = along.lopsided > ROUGH ? ", which is known only roughly for so large a ρ/η" : "";
  return `${value} (${called} ${number(flow)}, ${apart} apart${rough})`;
}

/** Where the gradient points on average. @param {Course} course @param {number} n */
function pointing({ directions }, n) {
  if (!directions || !(directions.tied[n] > 0)) return "";
  const [s1, s2] = meanPoint(directions, n);
  if (Number.isNaN(s1)) return "";
  const since = directions.tied[n] > 1 ? " since the tie" : "";
  return `; on the circle its mean${since} is ${pointText(s1, s2)}, the flow’s ${pointText(directions.predicted[n], 0)}`;
}

/** @param {Course} course @param {number} time */
function stoppedEarly(course, time) {
  const last = course.steps[CHECKPOINTS];
  if (last !== MOST_STEPS || course.tau[CHECKPOINTS] >= time * 0.999) return "";
  return ` After ${count(last)} steps the run is stopped, before τ = ${number(time)}.`;
}
