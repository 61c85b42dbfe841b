// The sentence: where the starts go, and where the chosen one does.

import { number } from "../../shared/format.js";
import { ELSEWHERE, LEFT, SLOPE } from "./ends.js";
import { percent } from "./key.js";
import { nameOfLabel } from "./world.js";

/** @typedef {import("./figure.js").View} View */

/** @type {Record<string, string>} */
export const METHODS = { sam: "SAM", gradient_descent: "Gradient descent", ascent_loss_descent: "Descent on Lᴬˢᶜ" };

/** @param {View} view */
export function describe({ state, world }) {
  if (world.problem) return world.problem;
  if (!world.field || !world.run) return "The map is being computed.";
  const radius = state.method === "gradient_descent" ? "" : `ρ = ${number(state.rho)} and `;
  return `${METHODS[state.method]} with ${radius}η = ${number(state.lr)}: ${starts(world)} ${chosen(world)}`;
}

/** Where all starts go. @param {View["world"]} world */
function starts(world) {
  const { loss } = world;
  const shares = world.shares();
  const gone = shares.get(LEFT) ?? 0;
  if (loss.kind !== "places") return gone ? `${percent(gone)} of these starts are gone without end.` : "";
  const all = [...shares].filter(([, share]) => share > 0).sort(([, a], [, b]) => b - a);
  const parts = all.map(([label, share]) => `${percent(share)} ${endOf(loss.places, label)}`);
  const [first, ...others] = parts.slice(0, 4);
  return `of these starts ${[first.replace(" %", " % end").replace(/ end (go|rest|come)/, " $1"), ...others].join(", ")}.`;
}

/** What a share of the starts does. @param {import("./losses.js").Place[]} places @param {number} label */
function endOf(places, label) {
  if (label === SLOPE) return "come to rest on a slope";
  if (label === ELSEWHERE) return "come to none of these places";
  if (label === LEFT) return "go away without end";
  return `at ${nameOfLabel(places, label)}`;
}

/** Where the chosen start goes. @param {View["world"]} world */
function chosen({ state, loss, run }) {
  const { label, cycle: [a, b], returns } = /** @type {import("./run.js").Run} */ (run); // prettier-ignore
  const from = `From (${state.start.map((v) => number(v)).join(", ")})`;
  if (label === LEFT) return `${from} the run goes away.`;
  const length = Math.hypot(a[0] - b[0], a[1] - b[1]);
  const still = length < 1e-6;
  const place = `(${a.map((v, i) => number(Math.round(((v + b[i]) / 2) * 1e3) / 1e3)).join(", ")})`;
  const where = loss.kind === "places" && label < SLOPE ? `${nameOfLabel(loss.places, label)}` : place;
  if (label === SLOPE) return `${from} SAM rests at ${place}, where the slope is not zero.`;
  if (still) return `${from} it comes to rest at ${where}.`;
  const how = returns ? "jumps to and fro" : "keeps moving";
  return `${from} it comes to ${where} and ${how} there, by ${number(length, 2)} a step.`;
}
