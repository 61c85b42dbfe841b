// A relief: a function of the plane as filled contours, drawn once for a size and a theme.

import { contours } from "d3-contour";
import { rememberPainter } from "./take-away/painters.js";

/** Points of the grid along each side. */
const GRID = 120;

/**
 * @typedef {object} Surface
 * @property {string} name tells surfaces of one relief apart
 * @property {(a: number, b: number) => number} height
 * @property {number[]} levels with a contour
 * @property {number} low of both coordinates
 * @property {number} high
 * @property {string} colour
 * @property {number} [opacity] of each of the fills, one over the other
 */

/** @param {import("./plot.js").Plot} plot whose inner rectangle is a square */
export function createRelief(plot) {
  const picture = document.createElement("canvas");
  let drawn = "";

  /** @param {Surface} surface @param {number} side in CSS pixels */
  function paint({ height, levels, low, high, colour, opacity = 0.07 }, side) {
    const size = Math.round(side * plot.ratio());
    picture.width = picture.height = size;
    const at = (/** @type {number} */ k) => low + ((k + 0.5) / GRID) * (high - low);
    const values = Array.from({ length: GRID * GRID }, (_, k) =>
      height(at(k % GRID), at(GRID - 1 - Math.floor(k / GRID))),
    );
    const shapes = contours().size([GRID, GRID]).thresholds(levels)(values);
    /** @param {CanvasRenderingContext2D} paper */
    const fill = (paper) => {
      paper.scale(size / GRID, size / GRID);
      paper.fillStyle = paper.strokeStyle = colour;
      paper.lineWidth = GRID / side;
      for (const { coordinates } of shapes) drawShape(paper, coordinates, opacity);
    };
    fill(/** @type {CanvasRenderingContext2D} */ (picture.getContext("2d")));
    rememberPainter(picture, fill);
  }

  return {
    /** @param {Surface} surface */
    draw(surface) {
      const { name, low, high, colour } = surface;
      const { left, right, top } = plot.box;
      const key = [name, low, high, colour, right - left, plot.ratio()].join();
      if (key !== drawn) paint(surface, right - left);
      drawn = key;
      plot.context.drawImage(picture, left, top, right - left, right - left);
    },
  };
}

/** What lies above a level. @param {CanvasRenderingContext2D} paper @param {number[][][][]} coordinates @param {number} opacity */
function drawShape(paper, coordinates, opacity) {
  paper.beginPath();
  for (const ring of coordinates.flat()) {
    paper.moveTo(ring[0][0], ring[0][1]);
    for (const [c, r] of ring) paper.lineTo(c, r);
  }
  paper.globalAlpha = opacity;
  paper.fill("evenodd");
  paper.globalAlpha = 0.35;
  paper.stroke();
}
