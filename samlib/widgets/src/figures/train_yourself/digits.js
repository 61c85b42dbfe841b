// The test digits that a run takes for others, as small pictures that come and go.

import { html } from "../../shared/dom.js";
import { count } from "../../shared/format.js";
import { reducedMotion } from "../../shared/theme.js";
import { misreadOf } from "./course.js";
import { latest } from "./history.js";
import { methodOf } from "./lines.js";
import { METHODS, capital, methodColour } from "./methods.js";

/** @typedef {Pick<import("../../training/api.js").Wrong, "row" | "pixels" | "answer">} Wrong */
/** @typedef {{digit: Wrong, since: number, until: number}} Place a digit with the times (ms) at which it came and goes */

const SIDE = 26;
const STRIDE = 32;
const HEIGHT = 44;

/** For so long (ms) a digit appears or disappears. */
const FADE = 350;

/** @param {import("./figure.js").View} view @param {0 | 1} run */
export function createDigits(view, run) {
  const canvas = html("canvas", { "aria-hidden": "true", "data-history": "" });
  const text = html("span");
  const area = html("div", { class: "samlib-train-row" }, canvas);
  const aside = html("span", { class: "samlib-aside" });
  const el = html("div", { class: "samlib-train-wrong" }, html("p", {}, text, aside), area);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  /** @type {(Place | undefined)[]} */
  let places = [];
  /** @type {Wrong[]} */
  let shown = [];
  let ratio = 1;
  const observer = new ResizeObserver(() => {
    if (!area.clientWidth) return;
    ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.round(area.clientWidth * ratio);
    canvas.height = HEIGHT * ratio;
    places = places.slice(0, room());
    place();
    view.redraw();
  });
  observer.observe(area);

  const room = () => Math.max(1, Math.floor((canvas.width / ratio + STRIDE - SIDE) / STRIDE));

  /** Each digit keeps its place as long as it is read wrongly. */
  function place() {
    const now = performance.now();
    const fade = reducedMotion() ? 0 : FADE;
    const rows = new Map(shown.map((digit) => [digit.row, digit]));
    for (const each of places) {
      const digit = each && rows.get(each.digit.row);
      if (!each) continue;
      if (!digit) each.until = Math.min(each.until, now + fade);
      else {
        Object.assign(each, { digit, until: Infinity });
        rows.delete(digit.row);
      }
    }
    const waiting = [...rows.values()];
    for (let k = 0; k < room() && waiting.length; k++) {
      const each = places[k];
      if (each && each.until > now) continue;
      places[k] = { digit: /** @type {Wrong} */ (waiting.shift()), since: now, until: Infinity };
    }
  }

  /** @param {Place} each @param {number} left @param {number} now */
  function drawPlace({ digit, since, until }, left, now) {
    const alpha = reducedMotion() ? Number(until > now) : Math.min(1, (now - since) / FADE, (until - now) / FADE);
    if (!(alpha > 0)) return;
    context.globalAlpha = alpha;
    context.drawImage(pictureOf(digit, view.colours), left, 0, SIDE, SIDE);
    context.fillStyle = methodColour(methodOf(view.state, run), view.colours);
    context.fillText(String(digit.answer), left + SIDE / 2, HEIGHT - 3);
    context.globalAlpha = 1;
  }

  return {
    el,
    draw() {
      const course = view.hasTrained() ? null : view.course();
      const wanted = course ? misreadOf(course, run) : view.session.now.wrong[run];
      if (wanted !== shown) {
        shown = wanted;
        place();
      }
      const said = headingOf(view, run, course);
      if (text.textContent !== said) text.textContent = said;
      const when = course || view.hasTrained() ? "below each, its answer" : "at the start; below each, its answer";
      if (run === 0 && aside.textContent !== when) aside.textContent = when;
      const now = performance.now();
      if (places.some((each) => each && each.until <= now)) place(); // others may take the place of those that left
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, canvas.width, HEIGHT);
      context.imageSmoothingEnabled = false;
      Object.assign(context, { font: "600 13px system-ui, sans-serif", textAlign: "center" });
      places.forEach((each, k) => each && drawPlace(each, k * STRIDE, now));
      if (places.some((each) => each && (now - each.since < FADE || (each.until < Infinity && each.until > now)))) view.redraw();
    },
    dispose: () => observer.disconnect(),
  };
}

/**
 * How many of the test digits it is.
 *
 * @param {import("./figure.js").View} view @param {0 | 1} run @param {import("./course.js").Course | null} course
 */
function headingOf(view, run, course) {
  const name = capital(methodOf(view.state, run));
  if (course) return `${name} misreads ${count(course.wrong[run])} of ${count(course.test_rows)} test digits`;
  const test = latest(view.session.now.history.looks, run, "test");
  if (test === undefined) return `${name}: the test digits that it misreads`;
  const all = view.testRows();
  return `${name} misreads ${count(Math.round((1 - test) * all))} of ${count(all)} test digits`;
}

/** Pictures of digits, by row and colour, made once. @type {Map<string, HTMLCanvasElement>} */
const pictures = new Map();

/** @param {Wrong} digit @param {import("../../shared/theme.js").Palette} colours */
function pictureOf({ row, pixels }, { ink, plot }) {
  const key = `${row}/${pixels.join()}/${ink}`;
  let picture = pictures.get(key);
  if (picture) return picture;
  picture = html("canvas", { width: 8, height: 8 });
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  context.fillStyle = plot;
  context.fillRect(0, 0, 8, 8);
  context.fillStyle = ink;
  pixels.forEach((value, i) => {
    context.globalAlpha = value / 16;
    context.fillRect(i % 8, Math.floor(i / 8), 1, 1);
  });
  pictures.set(key, picture);
  return picture;
}
