// How far the measurement is, and what can be done about it.

import { button } from "../../shared/buttons.js";
import { html } from "../../shared/dom.js";

/** @param {import("./view.js").View} view */
export function createProgress(view) {
  const bar = html("progress", { max: 1, value: 0, "aria-label": "Progress of the measurement" });
  const text = html("span", { class: "samlib-stage-text" });
  const act = button({
    label: "Cancel", text: "Cancel", onPress: () => view.kernel.ask(view.progress.running ? "cancel" : "measure"),
  }); // prettier-ignore
  act.dataset.control = "cancel";
  const error = html("p", { class: "samlib-error", role: "alert" });
  const el = html("div", { class: "samlib-progress" }, bar, text, act, error);

  const said = () => {
    const { progress, point, measured } = view;
    switch (view.kernel.state()) {
      case "none": return measured.length > 1 ?
        `Measured beforehand at ${measured.length} radii; ρ goes from one to the next.` :
        "Measured beforehand, at this radius only.";
      case "silent": return "The kernel does not answer: it is busy, or has ended. What it measured last is shown.";
      case "asked": return "Waiting for the kernel.";
      default: return progress.running ? progress.text : !view.faint ? "Measured." : point ? "Not measured at this ρ." : "Not measured.";
    } // prettier-ignore
  };
  return {
    el,
    draw() {
      const there = view.kernel.state() === "there";
      const { running, part } = view.progress;
      bar.value = running ? part : view.faint ? 0 : 1;
      bar.hidden = view.kernel.state() === "none";
      act.hidden = bar.hidden;
      act.disabled = !there || (!running && !view.faint);
      const label = running || !view.faint ? "Cancel" : "Measure";
      if (act.textContent !== label) {
        act.textContent = act.title = label;
      }
      text.textContent = said();
      error.hidden = view.message === "";
      if (error.textContent !== view.message) error.textContent = view.message;
    },
  };
}
