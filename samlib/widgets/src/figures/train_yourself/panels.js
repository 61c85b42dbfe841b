// Panels on request, below the large picture.

import { createOverSteps } from "./over-steps.js";
import { createProfile } from "./profile.js";

/** @typedef {import("./history.js").Look} Look */

/** What can be asked for, and what a reader calls it. @type {Record<string, string>} */
const TITLES = {
  loss: "Loss, accuracy", gradient: "‖∇L‖", spectrum: "λ₁ … λ₁₀", trace: "Trace", alignment: "Alignment",
  profile: "Loss along v₁",
}; // prettier-ignore

/** @param {import("./figure.js").View} view */
export function createPanels(view) {
  const all = Object.entries(partsOf(view));
  const parts = all.flatMap(([name, plots]) => plots.map((each) => ({ name, ...each })));
  // What they show depends on when it was measured, not on the settings alone.
  for (const { plot } of parts) plot.el.dataset.history = "";
  let turn = 0;
  return {
    /** @type {import("../../shared/panels.js").Panel[]} */
    panels: all.map(([name, plots]) => ({
      name, title: TITLES[name],
      parts: plots.map(({ plot }) => plot.el),
    })), // prettier-ignore
    /** Draw them; while they train one after the other, one a frame, so that no frame takes long. */
    draw() {
      const shown = parts.filter(({ name }) => view.state.panels.includes(name));
      if (shown.length === 0) return;
      turn += 1;
      const moving = view.session.now.playing;
      for (const each of moving ? [shown[turn % shown.length]] : shown) each.draw();
    },
    dispose: () => parts.forEach(({ plot }) => plot.dispose()),
  };
}

/** @param {import("./figure.js").View} view @returns {Record<string, {plot: import("../../shared/plot.js").Plot, draw: () => void}[]>} */
function partsOf(view) {
  return {
    loss: [
      createOverSteps(view, { title: "Training loss L", lines: [(each) => each.loss], scale: "log" }),
      createOverSteps(view, {
        title: "Accuracy in %: test rows, and fainter the training rows", scale: "percent",
        lines: [(each) => each.test && 100 * each.test, (each) => each.train && 100 * each.train],
      }),
    ],
    gradient: [createOverSteps(view, { title: "Length of the gradient ‖∇L‖", lines: [(each) => each.norm], scale: "log" })],
    spectrum: /** @type {const} */ ([0, 1]).map((run) =>
      createOverSteps(view, {
        title: "The ten largest eigenvalues", only: run,
        lines: Array.from({ length: 10 }, (_, k) => (each) => each.eigenvalues?.[k]),
      }),
    ),
    trace: [
      createOverSteps(view, {
        title: "Trace of the Hessian, with one standard error",
        lines: [(each) => each.trace], error: (each) => each.traceError,
      }),
    ],
    alignment: [
      createOverSteps(view, { title: "Alignment of ∇L with v₁: |cos∠|", lines: [(each) => each.alignment], scale: "unit" }),
      createOverSteps(view, { title: "… and with the span of v₁ … v₁₀", lines: [(each) => each.share], scale: "unit" }),
    ],
    profile: [createProfile(view)],
  }; // prettier-ignore
}
