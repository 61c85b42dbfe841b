// Playing, pausing and scrubbing through the steps of a run.

import { button } from "./buttons.js";
import { html } from "./dom.js";
import { reducedMotion } from "./theme.js";

const PLAY = "M7 4.5v15l12.5-7.5z";
const PAUSE = "M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z";
const BACK = "M17 4.5v15L7.5 12zM5 4.5h2.2v15H5z";
const FORWARD = "M7 4.5v15l9.5-7.5zM16.8 4.5H19v15h-2.2z";

/** Seconds that a whole run takes to play. */
const DURATION = 12;

/**
 * Play, pause, step and scrub through the steps of a run. Time runs logarithmically, like the axes: the
 * first steps, where the gradient turns, are as slow to watch as the long drift is quick.
 *
 * @param {{onFrame: (frame: number, settled: boolean) => void, linear?: boolean}} options
 *   `settled` is false for the frames that fly by while playing; with `linear`, all steps are as quick
 */
export function player({ onFrame, linear = false }) {
  const [toClock, fromClock] = linear ? [Number, Number] : [Math.log1p, Math.expm1];
  let keys = [0];
  let frame = 0;
  let steps = 0;
  let timer = 0;

  const back = button({ label: "One step back", icon: BACK, onPress: () => go(frame - 1) });
  const forward = button({ label: "One step forward", icon: FORWARD, onPress: () => go(frame + 1) });
  const toggle = button({ label: "Play", icon: PLAY, onPress: () => (timer ? pause() : play()) });
  toggle.dataset.control = "play";
  const scrub = html("input", {
    type: "range", class: "samlib-scrub", min: 0, max: 0, step: 1, "aria-label": "Step shown",
    "data-control": "frame", oninput: () => go(keys[Number(scrub.value)]),
  }); // prettier-ignore
  const text = html("span", { class: "samlib-time" });
  const el = html("div", { class: "samlib-player" }, back, toggle, forward, scrub, text);

  /** @param {number} next */
  function go(next) {
    pause();
    onFrame(Math.min(Math.max(next, 0), steps), true);
  }
  function pause() {
    if (!timer) return;
    cancelAnimationFrame(timer);
    timer = 0;
    face();
    onFrame(frame, true);
  }
  function play() {
    const began = frame >= steps ? 0 : toClock(frame);
    const whole = toClock(steps);
    let first = 0;
    /** @param {number} now in ms */
    const tick = (now) => {
      first ||= now;
      // With reduced motion: two dozen still pictures instead of a film.
      let elapsed = (now - first) / 1000 / DURATION;
      if (reducedMotion()) elapsed = Math.floor(elapsed * 24) / 24;
      const t = fromClock(Math.min(began + elapsed * whole, whole));
      const next = t >= steps ? steps : keys[position(Math.floor(t + 1e-9))];
      timer = requestAnimationFrame(tick);
      if (next === steps) {
        pause();
        onFrame(steps, true);
      } else if (next !== frame) onFrame(next, false);
    };
    timer = requestAnimationFrame(tick);
    face();
  }
  /** The last key step not after t. @param {number} t */
  function position(t) {
    let low = 0;
    let high = keys.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (keys[middle] <= t) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  function face() {
    const label = timer ? "Pause" : "Play";
    toggle.title = label;
    toggle.setAttribute("aria-label", label);
    toggle.querySelector("path")?.setAttribute("d", timer ? PAUSE : PLAY);
  }

  return {
    el,
    pause,
    dispose: () => cancelAnimationFrame(timer),
    playing: () => timer !== 0,
    /** @param {number} newFrame @param {number[]} newKeys @param {string} said */
    show(newFrame, newKeys, said) {
      frame = newFrame;
      if (keys !== newKeys) {
        keys = newKeys;
        steps = keys[keys.length - 1];
        scrub.max = String(keys.length - 1);
      }
      scrub.value = String(position(frame));
      scrub.setAttribute("aria-valuetext", said);
      text.textContent = said;
      back.disabled = frame <= 0;
      forward.disabled = frame >= steps;
    },
  };
}
