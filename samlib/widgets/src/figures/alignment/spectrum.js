// The quadratic in its eigen-coordinates: the eigenvalues as stems to drag, and under each the share of the
// gradient that points along its eigenvector.

import { scaleLinear, scaleLog } from "d3-scale";
import { drawLevels } from "../../shared/drawing.js";
import { decade, subscript } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { createPlot } from "../../shared/plot.js";
import { markDescent } from "./runs.js";
import { createStem } from "./stem.js";

/** Pixels: the height of the shares, and what is between them and the stems. */
const SHARES = 56;
const GAP = 27;

/** Room above the highest stem for its label. */
const HEADROOM = 18;

/** @param {import("./view.js").View} view */
export function createSpectrum(view) {
  const { world, config } = view;
  const { eigenvalues: range, dimension } = config.sliders.quadratic;
  const plot = createPlot({
    className: "samlib-spectrum",
    margin: { left: 46, right: 6, top: 4, bottom: 24 },
    onResize: view.redraw,
  });
  plot.name("The eigenvalues λ: drag them", "", "");
  /** @type {import("d3-scale").ScaleLogarithmic<number, number>} */
  let y = scaleLog(range, [1, 0]);
  const stems = Array.from({ length: dimension[1] }, (_, i) => createStem(view, plot, i, () => y));
  const labels = createLabels(plot, ["v₁", "share", "1", "0"]);
  let domain = range;

  function draw() {
    const { box } = plot;
    const { state, flat, dim, plane } = world;
    stems.forEach(({ group }, i) => group.toggleAttribute("hidden", !flat || i >= dim));
    if (!flat || box.right <= box.left) return;
    plot.clear();
    if (!view.dragging) domain = covering(range, state.eigenvalues);
    const base = box.bottom - SHARES - GAP;
    y = scaleLog(domain, [base, box.top + HEADROOM]);
    const x = scaleLinear([0.5, dim + 0.5], [box.left, box.right]);
    const column = (box.right - box.left) / dim;
    const height = scaleLinear([0, 1], [box.bottom, box.bottom - SHARES]);
    const yTicks = ticksOf(domain);
    drawLevels(plot, view.colours.line, [...yTicks.map((tick) => y(tick)), height(0.5), height(1)]);
    drawShares(x, height, Math.min(0.5 * column, 40));

    const top = state.eigenvalues[plane[0]] >= state.eigenvalues[plane[1]] ? plane[0] : plane[1];
    for (let i = 0; i < dim; i++) stems[i].show(x(i + 1), base, column, i === top);
    labels.put("v₁", x(top + 1), y(Math.max(...state.eigenvalues)) - 11, "v₁", "middle");
    labels.put("share", box.left + 4, base + GAP - 8, "share of ‖∇L‖² along each eigenvector", "start");
    labels.put("1", box.left - 8, height(1) + 4, "1", "end");
    labels.put("0", box.left - 8, height(0) + 4, "0", "end");
    const xTicks = Array.from({ length: dim }, (_, i) => i + 1);
    plot.axes(x, y, { xTicks, yTicks, xFormat: (i) => `x${subscript(i)}`, yFormat: decade });
  }

  /** SAM's shares as bars, those of gradient descent as its marks. @param {(i: number) => number} x @param {(share: number) => number} height @param {number} bar */
  function drawShares(x, height, bar) {
    const { box, context } = plot;
    const { colours } = view;
    world.share(world.at.gradient).forEach((part, i) => {
      context.fillStyle = colours.sam;
      const at = height(Number.isNaN(part) ? 0 : part);
      context.fillRect(x(i + 1) - bar / 2, at, bar, box.bottom - at);
    });
    world.share(world.descentAt.gradient).forEach((part, i) => {
      if (!Number.isNaN(part)) markDescent(context, x(i + 1), Math.min(height(part), box.bottom - 5), colours);
    });
  }

  return { plot, handles: stems, draw };
}

/** The range, and decades more where an eigenvalue does not fit. @param {readonly [number, number]} range @param {number[]} values */
function covering(range, values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return [
    low < range[0] ? 10 ** Math.floor(Math.log10(low)) : range[0],
    high > range[1] ? 10 ** Math.ceil(Math.log10(high)) : range[1],
  ];
}

/** Some powers of ten. @param {number[]} domain */
function ticksOf(domain) {
  const decades = Math.round(Math.log10(domain[1] / domain[0]));
  const ticks = [];
  for (let k = 0; k <= decades; k += Math.ceil(decades / 4)) ticks.push(domain[0] * 10 ** k);
  return ticks;
}
