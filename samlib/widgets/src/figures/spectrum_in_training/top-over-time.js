// λ₁ over time, with the edges of stability; of one run alone, its ten largest eigenvalues.

import { scaleLinear } from "d3-scale";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { colourOf } from "../../shared/marks.js";
import { edgesOf } from "./edges.js";
import { DOTTED, SHORT, SLACK, TIME, aloneIn, drawLine } from "./marks.js";
import { createOverTime } from "./over-time.js";

/** @param {import("./figure.js").View} view @param {number} highest */
export function createTopOverTime(view, highest) {
  const { sweep } = view;
  const stability = edgesOf(sweep);
  const { plot, draw: drawRuns } = createOverTime(view, "samlib-picture samlib-scrubbed", "λ₁ over time");
  const names = createLabels(plot, ["descent", "sam"]);
  const { context } = plot;

  function draw() {
    const { rho } = view.now();
    const single = aloneIn(view);
    plot.name(single ? `The ten largest eigenvalues of ${SHORT[single]}` : "λ₁ over time", TIME, single ? "λ₁ … λ₁₀" : "λ₁");
    const scale = scaleLinear([0, highest], [0, 1]);
    const drawn = drawRuns(scale, scale.ticks(5), number, (run, i) => sweep.at("eigenvalues", run, rho, i));
    if (!drawn) return;
    const { px, y } = drawn;
    for (let k = 1; single && k < sweep.tables.eigenvalues.size; k++) {
      const height = (/** @type {number} */ i) => y(sweep.at("eigenvalues", single, rho, i, k));
      drawLine(context, colourOf(single, view.colours), [], 0.75, px, height);
    }
    drawEdges(px, y);
  }

  /** @param {number[]} px @param {(value: number) => number} y */
  function drawEdges(px, y) {
    const { box } = plot;
    const { rho, runs } = view.now();
    const { ink } = view.colours;
    const both = { descent: runs.includes("gradient_descent"), sam: runs.includes("sam") && rho > 0 };
    if (both.descent) drawLine(context, ink, DOTTED, 1.5, px, () => y(stability.descent));
    if (both.sam) drawLine(context, ink, DOTTED, 1.5, px, (i) => y(stability.sam(rho, i)));
    names.hide("descent", !both.descent);
    names.hide("sam", !both.sam);
    const last = y(stability.sam(rho, sweep.steps.length - 1));
    names.put("descent", box.left + 6, y(stability.descent) - 5, `2/η = ${number(stability.descent)}`, "start");
    names.put("sam", box.right - SLACK, last + 16, "SAM’s edge", "end");
  }

  return { plot, draw };
}
