// λ₁, the trace or the alignment over time, with both limiting flows where they have it.

import { scaleLinear } from "d3-scale";
import { FLOW_INTERVALS, flowAt } from "../../dynamics/flow.js";
import { onDrag } from "../../shared/drag.js";
import { drawGrid } from "../../shared/drawing.js";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { drawMark, onCanvas } from "../../shared/marks.js";
import { SLACK, createPanel, pen } from "./panel.js";
import { CHECKPOINTS, followed } from "./training.js";

/** @typedef {import("../../dynamics/gamma.js").Regularizer} Regularizer */
/** @typedef {(value: number) => number} Scale */

/** @type {readonly Regularizer[]} */
const FLOWS = ["top_eigenvalue", "trace"];

/** @type {Record<import("./training.js").Settings["flow"], string>} */
const NAMES = { limit: "λ₁ flow", rate: "λ₁ flow at this η", both: "λ₁ flow, both errors" };

/**
 * @param {import("./figure.js").View} view @param {string} title
 * @param {Regularizer | "alignment"} name what is shown @param {string} [className]
 */
export function createOverTime(view, title, name, className) {
  const { bench } = view;
  const plot = createPanel(view, title, "time τ = ηρ² · step", className, className && "λ₁");
  plot.svg.classList.add("samlib-scrubbed");
  const labels = name === "alignment" ? null : createLabels(plot, [...FLOWS]);
  const { context } = plot;
  onDrag(plot, (event) => {
    const { box, svg } = plot;
    const px = event.clientX - svg.getBoundingClientRect().left;
    const tau = ((px - box.left) / (box.right - SLACK - box.left)) * view.state.time;
    const { course } = bench;
    if (!course) return;
    view.pause();
    const ratio = tau / course.tau[CHECKPOINTS];
    view.update({ frame: Math.min(Math.max(Math.round(ratio * CHECKPOINTS), 0), CHECKPOINTS) });
  });

  /** @param {[number, number]} domain @param {number[]} yTicks */
  function draw(domain, yTicks) {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { course, settings, ground } = bench;
    plot.clear();
    const time = settings?.time ?? view.state.time;
    const x = scaleLinear([0, time], [box.left, box.right - SLACK]);
    const y = scaleLinear(domain, [box.bottom, box.top]);
    const n = bench.shown();
    drawGrid(plot, colours, y, yTicks, x(course?.tau[n] ?? 0));
    plot.axes(x, y, { xTicks: x.ticks(5), yTicks, xFormat: number, yFormat: number });
    if (!course || !settings || !ground) return;
    if (name !== "alignment") drawFlows(ground.flows, name, x, y);
    nameFlows(time, x, y, settings.flow);
    const method = pen(view, context, settings.batch_size);
    trace(course.done, (k) => [x(course.tau[k]), onCanvas(y(course[name][k]))]);
    // Above the run, which is to hide it: their agreement can be seen.
    if (name !== "alignment" && course.corrected) drawFlow(course.corrected, "top_eigenvalue", name, x, y);
    context.setLineDash([]);
    drawMark(context, method, x(course.tau[n]), onCanvas(y(course[name][n])), colours);
  }

  /** A line, interrupted where there is nothing. @param {number} end @param {(k: number) => number[]} at pixels */
  function trace(end, at) {
    context.beginPath();
    let down = false;
    for (let k = 0; k <= end; k++) {
      const [px, py] = at(k);
      if (!Number.isFinite(py)) down = false;
      else if (down) context.lineTo(px, py);
      else context.moveTo(px, py);
      down = Number.isFinite(py);
    }
    context.stroke();
  }

  /** @param {import("./training.js").Flows} flows @param {Regularizer} what @param {Scale} x @param {Scale} y */
  function drawFlows(flows, what, x, y) {
    for (const flow of FLOWS) {
      context.globalAlpha = flow === "top_eigenvalue" && bench.course?.corrected ? 0.5 : 1;
      drawFlow(flows[flow], flow, what, x, y);
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {import("../../dynamics/flow.js").Flow} along @param {Regularizer} lowers
   * @param {Regularizer} what @param {Scale} x @param {Scale} y
   */
  function drawFlow(along, lowers, what, x, y) {
    const { horizon, [what]: values } = along;
    context.strokeStyle = lowers === "trace" ? view.colours.average : view.colours.worst;
    context.lineWidth = 2.5;
    context.setLineDash([2, 4]);
    trace(FLOW_INTERVALS, (k) => [x((k * horizon) / FLOW_INTERVALS), onCanvas(y(values[k]))]);
  }

  /**
   * Write at both flows which one it is: the upper one above it, the lower one below.
   *
   * @param {number} time @param {Scale} x @param {Scale} y @param {import("./training.js").Settings["flow"]} kind of the flow of λ₁
   */
  function nameFlows(time, x, y, kind) {
    const { ground, course } = bench;
    if (!labels || !ground || !course || name === "alignment") return;
    // To the left of the middle: there they part, and a flow that ends early is still there.
    const at = 0.4 * time;
    const [top, trace] = FLOWS.map((flow) => y(flowAt(followed(course, ground.flows, flow), name, at)));
    for (const flow of FLOWS) {
      const [own, other] = flow === "trace" ? [trace, top] : [top, trace];
      const above = !(own > other);
      const ended = !Number.isFinite(own);
      labels.hide(flow, ended);
      if (ended) continue;
      const text = flow === "trace" ? "trace flow" : NAMES[kind];
      labels.put(flow, x(at), own + (above ? -8 : 18), text, above ? "start" : "end");
    }
  }

  return { plot, draw };
}
