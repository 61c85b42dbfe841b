// SAM's shares of the gradient along each eigenvector over time, that of v₁ strongest.

import { scaleLog } from "d3-scale";
import { decade, subscript } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { markSam } from "./runs.js";
import { createTimePanel, px } from "./time-panel.js";

/** Shares of the gradient that the panel shows. */
const SHARES = [1e-8, 2];
const TICKS = [1e-8, 1e-6, 1e-4, 1e-2, 1];

/** Neighbours in the spectrum differ by their dashes. */
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]];

/** @param {import("./view.js").View} view */
export function createShares(view) {
  const { world, config } = view;
  const { plot, prepare, line } = createTimePanel(view, "SAM’s share along each eigenvector", "samlib-shares");
  const directions = config.sliders.quadratic.dimension[1];
  const names = createLabels(plot, Array.from({ length: directions }, (_, i) => String(i)));

  function draw() {
    const { context, box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    const { state, shares, pointed } = world;
    const { here, height } = prepare(scaleLog(SHARES, [0, 1]), TICKS, decade);
    const order = shares.map((_, i) => i).sort((a, b) => state.eigenvalues[b] - state.eigenvalues[a]);
    for (const i of [...order].reverse()) {
      const top = i === order[0];
      const dash = top ? [] : DASHES[order.indexOf(i) % DASHES.length];
      const width = i === pointed ? 4 : top ? 2.5 : 1.5;
      line(shares[i], height, top ? colours.eigenvector : colours.sam, dash, width);
    }
    // Discs where the step is.
    const now = world.share(world.at.gradient);
    for (const i of order) {
      if (now[i] > SHARES[0]) markSam(context, here, height(now[i]), colours, i === order[0] ? 6 : 3.5);
    }
    nameLines(order, height);
  }

  /** Where the lines leave the panel, as far as there is room. @param {number[]} order @param {(share: number) => number} height */
  function nameLines(order, height) {
    const { box } = plot;
    const { shares, pointed, samples } = world;
    /** @type {[number, number][]} */
    const taken = [];
    for (let i = 0; i < directions; i++) names.hide(String(i), true);
    for (const i of pointed >= 0 && pointed < order.length ? [pointed, ...order] : order) {
      let k = samples.length - 1;
      while (k > 0 && !(shares[i][k] > 2 * SHARES[0])) k--;
      const level = height(shares[i][k]);
      const at = /** @type {[number, number]} */ ([
        Math.min(px[k] + 4, box.right - 20), Math.min(level < box.top + 24 ? level + 17 : level - 7, box.bottom - 6),
      ]); // prettier-ignore
      if (!Number.isFinite(at[1]) || taken.some(([x, y]) => Math.abs(x - at[0]) < 18 && Math.abs(y - at[1]) < 14)) continue;
      taken.push(at);
      names.hide(String(i), false);
      names.put(String(i), ...at, i === order[0] ? "v₁" : `x${subscript(i + 1)}`, "start");
    }
  }

  return { plot, draw };
}
