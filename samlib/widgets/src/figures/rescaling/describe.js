// What the figure "Rescaling" shows, in words.

import { number } from "../../shared/format.js";
import { plain } from "./numbers.js";

/** @param {import("./world.js").World} world */
export function describe(world) {
  const { state, now, opening } = world;
  const [top, trace] = [plain(now.top), plain(now.trace)];
  if (now === opening) return `The network as it was trained, α = 1: λ₁ = ${top}, and the trace of its Hessian is ${trace}.`;
  const same = world.same() === now.answers.length ? "The same answers" : `The same answers to ${world.same()} of ${now.answers.length} digits`;
  return (
    `α = ${number(state.alpha)}. ${same}; λ₁ is ${plain(now.top / opening.top)} times as large, ${top}, ` +
    `and the trace ${plain(now.trace / opening.trace)} times, ${trace}.`
  );
}
