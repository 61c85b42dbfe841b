// The pictures of the figure "OppositeDrifts": the floor of the valleys with λ₁ and the trace over it, and x,
// λ₁ and the trace over time.

import { scaleLinear } from "d3-scale";
import { valleyTop, valleyTrace } from "../../dynamics/two-valleys.js";
import { createLabels } from "../../shared/labels.js";
import { createFloor, namesOf } from "./floor.js";
import { createOverTime } from "./over-time.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("./valleys.js").Course} Course */
/** @typedef {ReturnType<typeof createShown>} Shown */

/** @param {View} view */
export function createDriftPlots(view) {
  const { valleys } = view;
  const shown = createShown(view);
  const floor = createFloor(view, shown);
  const place = createOverTime(view, shown, "samlib-panel samlib-place", "Where along the floor: x", 76);
  const top = createOverTime(view, shown, "samlib-panel", "λ₁ at the nearest minimizer", 10);
  const trace = createOverTime(view, shown, "samlib-panel", "Trace at the nearest minimizer", 10);
  const ends = createLabels(place.plot, valleys.courses.map(({ name }) => name));

  /** Name the runs at their right ends, apart from each other; those that diverge at the top. @param {(x: number) => number} height */
  function nameEnds(height) {
    const { box } = place.plot;
    const { state } = valleys;
    const names = namesOf(state.batch_size);
    const rows = shown
      .courses()
      .map(({ name, x, lost }) => ({
        name,
        text: lost < Infinity ? `${names[name]} ↗` : names[name],
        y: (lost < Infinity ? box.top : Math.min(Math.max(height(x[3 * state.steps]), box.top), box.bottom)) + 4,
      }))
      .sort((a, b) => a.y - b.y);
    for (let i = 1; i < rows.length; i++) rows[i].y = Math.max(rows[i].y, rows[i - 1].y + 15);
    for (const { name } of valleys.courses) ends.hide(name, !rows.some((row) => row.name === name));
    for (const { name, text, y } of rows) ends.put(name, box.right + 2, y, text, "start");
  }

  function draw() {
    shown.bound();
    floor.draw();
    const [low, high] = shown.extent();
    const height = place.draw({
      domain: [low, high], ticks: scaleLinear([low, high], [0, 1]).ticks(6), height: Number,
      flows: ["top_eigenvalue", "trace"], leaving: true,
    }); // prettier-ignore
    if (height) nameEnds(height);
    top.draw({ domain: [2.4, 3.6], ticks: [2.5, 3, 3.5], height: valleyTop, flows: ["top_eigenvalue"] });
    trace.draw({ domain: [3.6, 4.4], ticks: [3.7, 4, 4.3], height: valleyTrace, flows: ["trace"] });
  }

  return {
    picture: floor.plot.el,
    /** @type {import("../../shared/panels.js").Panel[]} */
    panels: [
      { name: "place", title: "Place", parts: [place.plot.el] },
      { name: "top", title: "λ₁", parts: [top.plot.el] },
      { name: "trace", title: "Trace", parts: [trace.plot.el] },
    ],
    plots: [floor, place, top, trace].map(({ plot }) => plot),
    handle: floor.handle,
    draw,
  };
}

/** Which runs are shown, and how much of the floor; that stands still while something is dragged. @param {View} view */
function createShown(view) {
  const { valleys } = view;
  let reach = 3;
  let extent = [-2, 2];
  const shown = {
    /** Batches of one are 1-SAM. */
    courses: () => valleys.courses.filter(({ name }) => name !== "mini_batch" || valleys.state.batch_size > 1),
    /** Those that have not left the valleys at the step shown. */
    inside: () => shown.courses().filter((course) => !valleys.diverged(course, valleys.state.frame)),
    /** Bounds of x on the floor, −reach and reach. */
    reach: () => reach,
    /** Bounds of x over time. */
    extent: () => extent,
    /** Choose the range of x, rounded so that it seldom changes. */
    bound() {
      if (view.dragging) return;
      const [start] = valleys.state.start;
      let low = start;
      let high = low;
      for (const course of shown.courses()) {
        for (const x of course.along) {
          if (!(Math.abs(x - start) < 6)) continue; // one that leaves the picture
          low = Math.min(low, x);
          high = Math.max(high, x);
        }
      }
      extent = [Math.floor(2 * low - 0.4) / 2, Math.ceil(2 * high + 0.4) / 2];
      reach = Math.max(3, Math.ceil(Math.max(-low, high) + 0.3));
    },
  };
  return shown;
}
