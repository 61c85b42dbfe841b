// A relief: a function of the plane as filled contours, drawn once for a size and a theme.

import { contours } from "d3-contour";
import { rememberPainter } from "./take-away/painters.js";

/** Points of the grid along the shorter side. */
const GRID = 120;

/**
 * @typedef {object} Surface
 * @property {string} name tells surfaces of one relief apart
 * @property {(a: number, b: number) => number} height
 * @property {number[]} levels with a contour
 * @property {import("./plane.js").Scale} x what the picture covers
 * @property {import("./plane.js").Scale} y
 * @property {string} colour
 * @property {number} [opacity] of each of the fills, one over the other
 */

/** @param {import("./plot.js").Plot} plot */
export function createRelief(plot) {
  const picture = document.createElement("canvas");
  let drawn = "";

  /** @param {Surface} surface @param {number} width in CSS pixels @param {number} tall */
  function paint({ height, levels, x, y, colour, opacity = 0.07 }, width, tall) {
    picture.width = Math.round(width * plot.ratio());
    picture.height = Math.round(tall * plot.ratio());
    const cell = Math.min(width, tall) / GRID;
    const [columns, rows] = [Math.round(width / cell), Math.round(tall / cell)];
    const at = (/** @type {number[]} */ [low, high], /** @type {number} */ part) => low + part * (high - low);
    const values = Array.from({ length: columns * rows }, (_, k) =>
      height(
        at(x.domain(), ((k % columns) + 0.5) / columns),
        at(y.domain(), 1 - (Math.floor(k / columns) + 0.5) / rows),
      ),
    );
    const shapes = contours().size([columns, rows]).thresholds(levels)(values);
    /** @param {CanvasRenderingContext2D} paper */
    const fill = (paper) => {
      paper.scale(picture.width / columns, picture.height / rows);
      paper.fillStyle = paper.strokeStyle = colour;
      paper.lineWidth = 1 / cell;
      for (const { coordinates } of shapes) drawShape(paper, coordinates, opacity);
    };
    fill(/** @type {CanvasRenderingContext2D} */ (picture.getContext("2d")));
    rememberPainter(picture, fill);
  }

  return {
    /** @param {Surface} surface */
    draw(surface) {
      const { name, x, y, colour } = surface;
      const { left, right, top, bottom } = plot.box;
      const [width, tall] = [right - left, bottom - top];
      const key = [name, x.domain(), y.domain(), colour, width, tall, plot.ratio()].join();
      if (key !== drawn) paint(surface, width, tall);
      drawn = key;
      plot.context.drawImage(picture, left, top, width, tall);
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
