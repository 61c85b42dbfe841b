// Play, one step, rewind, and the one control: ρ.

import { button } from "../../shared/buttons.js";
import { html } from "../../shared/dom.js";
import { slider } from "../../shared/fields.js";
import { count } from "../../shared/format.js";

const PLAY = "M7 4.5v15l12.5-7.5z";
const PAUSE = "M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z";
const STEP = "M7 4.5v15l9.5-7.5zM16.8 4.5H19v15h-2.2z";
const REWIND = "M17 4.5v15L7.5 12zM5 4.5h2.2v15H5z";

/** @param {import("./figure.js").View} view */
export function createTransport(view) {
  const { session, config } = view;
  const play = button({
    label: "Play", icon: PLAY, className: "samlib-train-play",
    onPress: () => (isPlaying() ? session.pause() : session.play()),
  }); // prettier-ignore
  play.dataset.control = "play";
  const step = button({ label: "One step", icon: STEP, onPress: () => session.stepOnce() });
  const rewind = button({ label: "Rewind to the same start", icon: REWIND, onPress: () => session.rewind() });
  step.dataset.control = "step";
  rewind.dataset.control = "rewind";
  const rho = slider({
    label: "Radius ρ", name: "rho", scale: "linear", range: config.sliders.rho, limits: config.limits.rho,
    onInput: (value) => view.update({ rho: value }),
  }); // prettier-ignore
  const time = html("span", { class: "samlib-train-time" });
  const el = html("div", { class: "samlib-player samlib-train-transport" }, play, step, rewind, time, rho.el);

  const isPlaying = () => session.now.playing;

  return {
    el,
    show() {
      const label = isPlaying() ? "Pause" : "Play";
      if (play.title !== label) {
        play.title = label;
        play.setAttribute("aria-label", label);
        play.querySelector("path")?.setAttribute("d", isPlaying() ? PAUSE : PLAY);
      }
      rewind.disabled = !view.hasTrained();
      rho.show(view.state.rho);
      const said = `step ${count(session.now.step)}`;
      if (time.textContent !== said) time.textContent = said;
      time.dataset.measured = String(session.now.history.last()?.step); // some time after the step itself
    },
  };
}
