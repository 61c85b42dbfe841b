// A dot for each direction, at the share of the worst that it finds; dots that would cover others stand above them.

import { scaleLinear } from "d3-scale";
import { number } from "../../shared/format.js";
import { createLabels } from "../../shared/labels.js";
import { disc } from "../../shared/marks.js";
import { createPlot } from "../../shared/plot.js";

/** @typedef {import("./figure.js").View} View */

/** How far two dots are apart where there is room, at least and as a share of the width, and their radius beside that. */
const APART = 4.5;
const SHARE = 1 / 160;
const RADIUS = 0.44;

/** @param {View} view */
export function createSwarm(view) {
  const { world } = view;
  const plot = createPlot({
    className: "samlib-picture",
    margin: { left: 12, right: 16, top: 24, bottom: 40 },
    onResize: view.redraw,
  });
  plot.name("How far L rises along each direction", "rise of L, in % of the worst", "");
  const labels = createLabels(plot, ["worst", "average", "best"]);
  const { context } = plot;

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { colours } = view;
    plot.clear();
    const x = scaleLinear([0, 100], [box.left + 4, box.right - 4]);
    const px = Array.from(world.shares, (share) => x(100 * share));
    const apart = Math.max(APART, SHARE * (box.right - box.left));
    const radius = RADIUS * apart;
    const py = stack(px, box, apart);
    context.fillStyle = colours.ink;
    context.globalAlpha = 0.55;
    context.beginPath();
    px.forEach((place, k) => {
      context.moveTo(place + radius, py[k]);
      context.arc(place, py[k], radius, 0, 7);
    });
    context.fill();
    context.globalAlpha = 1;
    level(x(100 * world.average), colours.average, [7, 4]);
    level(x(100), colours.worst, []);
    const best = world.shares.indexOf(world.best);
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.setLineDash([]);
    context.stroke(disc(px[best], py[best], 6));
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(px[best], py[best] - 6);
    context.lineTo(px[best], box.top + 26);
    context.stroke();
    name(x, box, px[best]);
    plot.axes(x, scaleLinear([0, 1], [box.bottom, box.top]), {
      xTicks: [0, 20, 40, 60, 80, 100], yTicks: [], xFormat: (v) => `${v} %`, yFormat: String,
    }); // prettier-ignore
  }

  /** @param {number} px @param {string} colour @param {number[]} dash */
  function level(px, colour, dash) {
    context.strokeStyle = colour;
    context.lineWidth = 2.5;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(px, plot.box.top);
    context.lineTo(px, plot.box.bottom);
    context.stroke();
  }

  /** @param {(percent: number) => number} x @param {import("../../shared/plot.js").Box} box @param {number} bestX */
  function name(x, box, bestX) {
    labels.put("worst", box.right + 4, box.top - 8, "worst direction", "end");
    const average = x(100 * world.average);
    const near = average > box.right - 240;
    labels.put("average", near ? average - 6 : average, box.top + (near ? 14 : -8), `average ${number(100 * world.average)} %`, near ? "end" : "start"); // prettier-ignore
    const left = bestX > (box.left + box.right) / 2;
    labels.put("best", bestX + (left ? -6 : 6), box.top + 36, `best of 1,000 draws ${number(100 * world.best)} %`, left ? "end" : "start"); // prettier-ignore
  }

  return { plot, draw };
}

/**
 * The height of each dot: those of a column a dot wide stand on one another, closer where they are many.
 *
 * @param {number[]} px @param {import("../../shared/plot.js").Box} box @param {number} width of a dot's place
 */
function stack(px, box, width) {
  const columns = px.map((place) => Math.round(place / width));
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const column of columns) counts.set(column, (counts.get(column) ?? 0) + 1);
  const most = Math.max(...counts.values());
  const apart = Math.min(width, (box.bottom - box.top - width - 24) / most);
  /** @type {Map<number, number>} */
  const placed = new Map();
  return columns.map((column) => {
    const below = placed.get(column) ?? 0;
    placed.set(column, below + 1);
    return box.bottom - width / 2 - below * apart;
  });
}
