// The large picture: λ₁ of both runs while they train, and where each method ceases to be stable.

import { scaleLinear } from "d3-scale";
import { svg } from "../../shared/dom.js";
import { drawLevels } from "../../shared/drawing.js";
import { niceCeil, number, shortCount } from "../../shared/format.js";
import { createPlot } from "../../shared/plot.js";
import { RUNS, acrossSteps, methodOf, strokeLine, styleOf } from "./lines.js";
import { METHODS, edgeOf } from "./methods.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./course.js").Course} Course */

/** What a line needs: the steps, and a value for each. @typedef {{count: number, step: (i: number) => number, value: (i: number) => number | undefined}} Line */

const DOTS = [1, 4];

/** What the names of the runs are called among the labels. */
const NAMES = ["first", "second"];

/** Names of lines whose ends are closer to each other, in px, would lie on each other. */
const CLOSE = 18;

/** Half the width of a letter of a name, in px. */
const HALF_LETTER = 4;

/** How strong the course is drawn beside what the page has trained. */
const GHOST = 0.3;

/** @param {View} view */
export function createPicture(view) {
  const plot = createPlot({
    className: "samlib-picture",
    margin: { left: 30, right: 12, top: 12, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("Sharpness λ₁ while they train", "step", "");
  const labels = createColouredLabels(plot, [...NAMES, "edge-0", "edge-1", "moved"]);

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const lines = linesOf(view);
    const x = acrossSteps(view, plot);
    const y = scaleLinear([0, highestOf(view, lines)], [box.bottom, box.top]);
    plot.clear();
    const yTicks = y.ticks(5);
    drawLevels(plot, view.colours.line, yTicks.map((tick) => y(tick)));
    plot.axes(x, y, { xTicks: x.ticks(box.right < 420 ? 4 : 8), yTicks, xFormat: shortCount, yFormat: number });
    drawMoved(x);
    for (const run of RUNS) {
      const style = styleOf(view, run);
      const stroke = (/** @type {Line} */ line, /** @type {object} */ more) =>
        strokeLine(plot.context, { ...style, ...more }, line.count, (i) => x(line.step(i)), (i) => scaled(y, line.value(i)));
      if (lines.ghost) stroke(lines.ghost[run], { width: 2, alpha: GHOST });
      drawEdge(run, lines, stroke, x, y);
      stroke(lines.top[run], { width: 2.75 });
    }
    drawHeads(lines, x, y);
  }

  /** Where it ceases to be stable: as it was, and from here on as it is now. @param {0 | 1} run @param {Lines} lines @param {Function} stroke @param {any} x @param {any} y */
  function drawEdge(run, lines, stroke, x, y) {
    const line = lines.edge[run];
    const dotted = { dash: DOTS, width: 1.75 };
    stroke(line, dotted);
    const edge = edgeNow(view, run, line);
    const end = x.domain()[1];
    const from = line.count ? line.step(line.count - 1) : 0;
    if (from < end) stroke({ count: 2, step: (/** @type {number} */ i) => (i ? end : from), value: () => edge }, dotted);
    const method = methodOf(view.state, run);
    const shown = Number.isFinite(edge) && y(edge) > plot.box.top + 8;
    labels.hide(`edge-${run}`, !shown);
    if (!shown) return;
    // Gradient descent comes to its edge late, SAM stays at its own: each name stands where there is room.
    if (method === "gradient_descent") labels.put(`edge-${run}`, plot.box.left + 8, y(edge) + 17, `2/η = ${number(edge)}`, "start", "");
    else labels.put(`edge-${run}`, plot.box.right - 4, y(edge) + 18, `${METHODS[method]}’s edge`, "end", "");
  }

  /** The ends of the lines, with their names: above, but for the lower one of two that would lie on each other. @param {Lines} lines @param {any} x @param {any} y */
  function drawHeads({ top }, x, y) {
    const heads = top.map(lastOf);
    const heights = heads.map((head) => head && y(head.value));
    for (const run of RUNS) {
      const head = heads[run];
      labels.hide(NAMES[run], !head);
      if (!head) continue;
      const [mine, other] = [heights[run], heights[1 - run]];
      const below = other !== null && Math.abs(mine - other) < CLOSE && (mine === other ? run === 1 : mine > other);
      drawHead(run, head, x(head.step), below ? mine + 22 : Math.max(mine - 12, plot.box.top + 12), mine);
    }
  }

  /** The end of a line, and beside it its name. @param {0 | 1} run @param {{value: number}} head @param {number} px @param {number} height of the name @param {number} py */
  function drawHead(run, { value }, px, height, py) {
    const { context, box } = plot;
    const { colour } = styleOf(view, run);
    context.fillStyle = colour;
    context.beginPath();
    context.arc(px, py, 4.5, 0, 7);
    context.fill();
    const method = METHODS[methodOf(view.state, run)];
    const text = view.session.now.lost[run] ? `${method} has diverged` : `${method} ${number(value, 3)}`;
    // It stands before the end of the line if it fits there, after it if it fits there, or else in the middle.
    const half = HALF_LETTER * text.length;
    const [before, after] = [px - 2 * half > box.left, px + 10 + 2 * half < box.right];
    const middle = Math.min(Math.max(px, box.left + half), box.right - half);
    const place = before ? px - 4 : after ? px + 10 : middle;
    labels.put(NAMES[run], place, height, text, before ? "end" : after ? "start" : "middle", colour);
  }

  /** When ρ moved by itself. @param {any} x */
  function drawMoved(x) {
    const { switch_step: at, switch_rho, rho } = view.state;
    const before = view.session.now.moved?.rho ?? rho;
    const shown = at > 0 && at < x.domain()[1];
    labels.hide("moved", !shown);
    if (!shown) return;
    const { context, box } = plot;
    strokeLine(context, { colour: view.colours.soft, dash: [4, 3], width: 1 }, 2, () => x(at), (i) => (i ? box.top : box.bottom));
    labels.put("moved", x(at) + 5, box.bottom - 8, `ρ from ${number(before)} to ${number(switch_rho)}`, "start", "");
  }

  return { plot, draw };
}

/** @typedef {{top: [Line, Line], edge: [Line, Line], ghost: [Line, Line] | null}} Lines */

/** What is drawn: what was trained here, or else what samlib computed. @param {View} view @returns {Lines} */
function linesOf(view) {
  const { looks } = view.session.now.history;
  const course = view.course();
  if (course && !view.hasTrained()) {
    return { top: both((run) => ofCourse(course, "top", run)), edge: both((run) => ofCourse(course, "edge", run)), ghost: null };
  }
  /** @param {"top" | "edge"} name @param {0 | 1} run @returns {Line} */
  const trained = (name, run) => ({
    count: looks.length, step: (i) => looks[i].step, value: (i) => looks[i].runs[run][name],
  }); // prettier-ignore
  return {
    top: both((run) => trained("top", run)),
    edge: both((run) => trained("edge", run)),
    ghost: course && both((run) => ofCourse(course, "top", run)),
  };
}

/** @param {Course} course @param {"top" | "edge"} name @param {0 | 1} run @returns {Line} */
const ofCourse = (course, name, run) => ({
  count: course.steps.length, step: (i) => course.steps[i], value: (i) => course[name][run][i] ?? NaN,
}); // prettier-ignore

/** The last point of a line that has a value. @param {Line} line */
function lastOf(line) {
  for (let i = line.count - 1; i >= 0; i--) {
    const value = line.value(i);
    if (value !== undefined && Number.isFinite(value)) return { step: line.step(i), value };
  }
  return null;
}

/** @template T @param {(run: 0 | 1) => T} make @returns {[T, T]} */
const both = (make) => [make(0), make(1)];

/** @param {(v: number) => number} y @param {number | undefined} value */
const scaled = (y, value) => (value === undefined ? undefined : y(value));

/** Where a method ceases to be stable by the settings as they are now. @param {View} view @param {0 | 1} run @param {Line} line */
function edgeNow(view, run, line) {
  const method = methodOf(view.state, run);
  const norm = view.session.now.history.last()?.runs[run].norm;
  if (method === "gradient_descent") return edgeOf(method, view.state, 1);
  if (view.hasTrained()) return norm === undefined ? NaN : edgeOf(method, view.state, norm);
  return line.count ? (line.value(line.count - 1) ?? NaN) : NaN;
}

/** The top of the axis: all of λ₁, and of the edges the one that stands still. @param {View} view @param {Lines} lines */
function highestOf({ state }, { top, ghost }) {
  let highest = [state.first, state.second].includes("gradient_descent") ? 2 / state.lr : 0.1;
  for (const line of [...top, ...(ghost ?? [])]) {
    for (let i = 0; i < line.count; i++) {
      const value = line.value(i);
      if (value !== undefined && value > highest) highest = value;
    }
  }
  return niceCeil(1.06 * highest);
}

/** Texts over a plot in the colour of what they name. @param {import("../../shared/plot.js").Plot} plot @param {string[]} names */
function createColouredLabels(plot, names) {
  const texts = new Map(names.map((name) => [name, svg("text", { class: "samlib-mark", "aria-hidden": "true" })]));
  plot.marks.append(...texts.values());
  const of = (/** @type {string} */ name) => /** @type {SVGTextElement} */ (texts.get(name));
  return {
    /** @param {string} name @param {boolean} hidden */
    hide: (name, hidden) => of(name).toggleAttribute("hidden", hidden),
    /** @param {string} name @param {number} x @param {number} y @param {string} text @param {"start" | "middle" | "end"} anchor @param {string} colour none for ink */
    put(name, x, y, text, anchor, colour) {
      const label = of(name);
      label.setAttribute("transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
      label.setAttribute("text-anchor", anchor);
      label.classList.toggle("samlib-train-name", colour !== "");
      if (label.style.fill !== colour) label.style.fill = colour;
      if (label.textContent !== text) label.textContent = text;
    },
  };
}
