// The sentence: where the starts go, and where the chosen one does.

import { constants } from "../../schema.js";
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
  const told = starts(world);
  return `${METHODS[state.method]} with ${radius}η = ${number(state.lr)}${told ? `: ${told}` : "."} ${chosen(world)}`;
}

/** The cosine of twice 5°. */
const ALONG = Math.cos(Math.PI / 18);

/** Where all starts go. @param {View["world"]} world */
function starts(world) {
  const { loss } = world;
  const shares = world.shares();
  const gone = shares.get(LEFT) ?? 0;
  if (loss.kind !== "places") {
    const away = gone ? `${percent(gone)} of these starts are gone without end.` : "";
    return [away, loss.kind === "direction" ? steepest(world) : floor(world)].filter(Boolean).join(" ");
  }
  const all = [...shares].filter(([, share]) => share > 0).sort(([, a], [, b]) => b - a);
  const parts = all.map(([label, share]) => `${percent(share)} ${endOf(loss.places, label)}`);
  const [first, ...others] = parts.slice(0, 4);
  return `of these starts ${[first.replace(" %", " % end").replace(/ end (go|rest|come)/, " $1"), ...others].join(", ")}.`;
}

/** How many runs end along the steepest direction, if there is one. @param {View["world"]} world */
function steepest({ state, field }) {
  const spectrum = constants.basin_map.spectra[/** @type {keyof typeof constants.basin_map.spectra} */ (state.loss)];
  const { cells, size } = /** @type {import("./queue.js").Field} */ (field);
  if (spectrum[0] === spectrum[1]) return "both curvatures are equal, and each run keeps to its side.";
  const sign = spectrum[0] > spectrum[1] ? 1 : -1;
  let along = 0;
  for (let at = 0; at < cells.length; at += 4) along += Number(cells[at] !== LEFT && sign * cells[at + 2] > ALONG);
  return `the last gradients of ${percent(along / (size * size))} lie along the steepest direction, to 5°.`;
}

/** Where runs end on average. @param {View["world"]} world */
function floor({ field, loss }) {
  const { cells } = /** @type {import("./queue.js").Field} */ (field);
  const names = loss.names.slice(0, loss.landscape.dim === 3 ? 1 : 2);
  const means = names.map((_, i) => {
    let [sum, count] = [0, 0];
    for (let at = 0; at < cells.length; at += 4) {
      if (cells[at] === LEFT) continue;
      sum += cells[at + 2 + i];
      count += 1;
    }
    return sum / count;
  });
  if (means.some(Number.isNaN)) return "";
  const [from, to] = [field?.task.center ?? [], means].map((point) =>
    names.map((name, i) => `${name} = ${number(Math.round(point[i] * 1e3) / 1e3)}`).join(", "));
  return `on average the runs begin at ${from} and end at ${to}.`;
} // prettier-ignore

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
