// The floor of the valleys, with λ₁ and the trace over it.

import { scaleLinear } from "d3-scale";
import { valleyTop, valleyTrace } from "../../dynamics/two-valleys.js";
import { number } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels } from "../../shared/labels.js";
import { colourOf, drawMark } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";

/** The bottom of the picture, where the handle stands, and its top. */
const FLOOR = { low: 1.85, handle: 2.12, high: 4.65 };

/** In a narrower picture the runs have no names, in px. */
const ROOM_FOR_NAMES = 420;

/** @typedef {(value: number) => number} Scale */

/** What the runs are called in the pictures. @param {number} size of the batches */
export const namesOf = (size) => ({
  gradient_descent: "GD", sam: "SAM", one_sam: "1-SAM", mini_batch: `batch of ${size}`,
}); // prettier-ignore

/** @param {import("./figure.js").View} view @param {import("./plots.js").Shown} shown */
export function createFloor(view, shown) {
  const { valleys } = view;
  const plot = createPlot({
    className: "samlib-picture samlib-floor",
    margin: { left: 40, right: 10, top: 8, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("The floor: λ₁ and trace along x", "x", "");
  const names = createLabels(plot, ["top", "trace"]);
  const runs = createLabels(plot, valleys.courses.map(({ name }) => name));
  const handle = createHandle(view, plot, () => [0, 0], { label: "Start of all runs", along: "x" });
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const reach = shown.reach();
    plot.clear();
    const x = scaleLinear([-reach, reach], [box.left, box.right]);
    const y = scaleLinear([FLOOR.low, FLOOR.high], [box.bottom, box.top]);
    drawStart(Math.round(x(valleys.state.start[0])) + 0.5, y);
    drawCurve(valleyTop, colours.worst, x, y);
    drawCurve(valleyTrace, colours.average, x, y);
    for (const course of shown.inside()) drawTrail(course, x, y);
    for (const course of shown.inside()) {
      const at = valleys.at(course);
      for (const height of [valleyTop, valleyTrace]) drawMark(context, course.name, x(at), y(height(at)), colours);
    }
    nameRuns(x, y);
    plot.axes(x, y, {
      xTicks: x.ticks(6), yTicks: [2.5, 3, 3.5, 4, 4.5], xFormat: number, yFormat: number,
    }); // prettier-ignore
    const end = box.right - 6;
    names.put("top", end, y(valleyTop(x.invert(end))) + 20, "λ₁", "end");
    names.put("trace", end, y(valleyTrace(x.invert(end))) - 10, "trace", "end");
    handle.show(x, y, { level: FLOOR.handle });
  }

  /** Where a run has come along the floor. @param {import("./valleys.js").Course} course @param {Scale} x @param {Scale} y */
  function drawTrail(course, x, y) {
    const [from, to] = [valleys.state.start[0], valleys.at(course)];
    context.strokeStyle = colourOf(course.name, view.colours);
    context.lineWidth = 7;
    context.globalAlpha = 0.35;
    for (const height of [valleyTop, valleyTrace]) {
      context.beginPath();
      for (let k = 0; k <= 40; k++) {
        const v = from + ((to - from) * k) / 40;
        context.lineTo(x(v), y(height(v)));
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** Below their marks on the lower curve, one below the other where they are close. @param {Scale} x @param {Scale} y */
  function nameRuns(x, y) {
    const { left, right } = plot.box;
    const inside = right - left > ROOM_FOR_NAMES ? shown.inside() : [];
    const texts = namesOf(valleys.state.batch_size);
    for (const { name } of valleys.courses) runs.hide(name, !inside.some((course) => course.name === name));
    let [end, row] = [-Infinity, 0];
    for (const course of [...inside].sort((a, b) => valleys.at(a) - valleys.at(b))) {
      const at = valleys.at(course);
      const half = 4 * texts[course.name].length;
      row = x(at) - half < end ? row + 1 : 0;
      end = Math.max(end, x(at) + half);
      runs.put(course.name, x(at), y(valleyTop(at)) + 23 + 15 * row, texts[course.name], "middle");
    }
  }

  /** From the handle up to the curves. @param {number} px @param {(v: number) => number} y */
  function drawStart(px, y) {
    context.lineWidth = 1;
    context.strokeStyle = view.colours.faint;
    context.beginPath();
    context.moveTo(px, y(FLOOR.handle));
    context.lineTo(px, y(valleyTrace(valleys.state.start[0])));
    context.stroke();
  }

  /**
   * @param {(x: number) => number} height @param {string} colour
   * @param {import("d3-scale").ScaleLinear<number, number>} x @param {(v: number) => number} y
   */
  function drawCurve(height, colour, x, y) {
    const { box } = plot;
    context.strokeStyle = colour;
    context.lineWidth = 2.5;
    context.beginPath();
    for (let px = box.left; px <= box.right; px += 2) context.lineTo(px, y(height(x.invert(px))));
    context.stroke();
  }

  return { plot, handle, draw };
}
