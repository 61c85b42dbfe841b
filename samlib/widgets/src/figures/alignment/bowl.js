// The plane of the two largest eigenvalues, which the reader can magnify.

import { button } from "../../shared/buttons.js";
import { niceCeil, number, subscript } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { createLabels } from "../../shared/labels.js";
import { planeIn } from "../../shared/plane.js";
import { createPlot } from "../../shared/plot.js";
import { reachOfInvariantSet } from "./invariant-set.js";
import { createLens } from "./lens.js";
import { EIGENVECTOR, GRADIENT, drawScene } from "./scene.js";

/** @param {import("./view.js").View} view */
export function createBowl(view) {
  const { world } = view;
  const plot = createPlot({
    className: "samlib-picture",
    margin: { left: 44, right: 10, top: 8, bottom: 26 },
    onResize: view.redraw,
  });
  const zoom = button({
    label: "Magnify the surroundings of the minimum",
    text: "Zoom in",
    className: "samlib-small",
    onPress: () => view.update({ zoom: !world.state.zoom }),
  });
  zoom.dataset.control = "zoom";
  plot.heading.append(zoom);
  const lens = createLens(view, plot);
  const labels = createLabels(plot, ["∇L", "v₁", "lens", "invariant"]);
  const handle = createHandle(view, plot, () => world.plane);
  let half = 1;

  /** Half of what the plane shows, and half of what shows the two-cycle; 0 where there is none. */
  function measure() {
    const { state, plane: [i, j], sam, dim, samples } = world; // prettier-ignore
    const radius = world.radius(world.sharpness(sam.x, state.frame * dim));
    const last = world.radius(sam.sharpness[samples.length - 1]);
    const far = Math.max(Math.abs(state.start[i]), Math.abs(state.start[j]));
    const cycle = Number.isFinite(radius) && radius < 20 * far ? radius : 0;
    if (!view.dragging) half = niceCeil(1.15 * Math.max(far, cycle) || 1);
    return Number.isFinite(last) && last > 0 ? niceCeil(2.2 * last) : 0;
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { state } = world;
    plot.clear();
    const close = measure();
    const zoomed = state.zoom && close > 0;
    const reach = zoomed ? close : half;
    const scene = drawScene(view, plot.context, box, reach);

    const magnified = !zoomed && close > 0 && close < 0.3 * half;
    lens.hide(!magnified);
    labels.hide("lens", !magnified);
    if (magnified) {
      const { left, top, size } = lens.draw(close, scene);
      labels.put("invariant", left + size / 2, top + size - 8, "invariant set", "middle");
      labels.put("lens", left + 6, top + 16, `×${number(half / close, 2)}`, "start");
    }
    const { x, y } = planeIn(box, [0, 0], reach);
    drawAxes(x, y, reach);
    labelArrows(scene);
    labelInvariantSet(x, y, magnified);
    handle.show(x, y);
    zoom.setAttribute("aria-pressed", String(state.zoom));
    zoom.textContent = state.zoom ? "Zoom out" : "Zoom in";
  }

  /** @param {any} x @param {any} y @param {number} reach */
  function drawAxes(x, y, reach) {
    const [i, j] = world.plane;
    const ticks = ticksWithin(x, reach);
    plot.axes(x, y, { xTicks: ticks, yTicks: ticksWithin(y, reach), xFormat: number, yFormat: number });
    plot.name(
      world.flat ? "The loss near its minimum" : "Across Γ: the bowl in (x₃, x₄)",
      `x${subscript(i + 1)}`,
      `x${subscript(j + 1)}`,
    );
  }

  /** At the tips of the arrows, on opposite sides of them, unless v₁ would lie on a diamond. @param {ReturnType<typeof drawScene>} scene */
  function labelArrows({ x, y, g, v, ends }) {
    const { box } = plot;
    const turn = Math.sign(g[0] * v[1] - g[1] * v[0]) || 1;
    const beside = (/** @type {number[]} */ [dx, dy], /** @type {number} */ length, /** @type {number} */ side) => [
      x + length * dx - 14 * side * dy,
      y - length * dy - 14 * side * dx,
    ];
    const [vx, vy] = beside(v, EIGENVECTOR, turn);
    const crowded = ends.some(([ex, ey]) => Math.hypot(ex - vx, ey - vy) < 18);
    label("∇L", g, GRADIENT, -turn);
    label("v₁", v, EIGENVECTOR, crowded ? -turn : turn);
    /** @param {string} name @param {number[]} direction @param {number} length @param {number} side */
    function label(name, direction, length, side) {
      const [tipX, tipY] = beside(direction, length, side);
      const seen = Math.hypot(direction[0], direction[1]) > 0.2;
      const inside = tipX > box.left && tipX < box.right && tipY > box.top && tipY < box.bottom;
      labels.hide(name, !(seen && inside));
      if (seen && inside) labels.put(name, tipX, tipY + 4, name, "middle");
    }
  }

  /** On the side of it where the runs do not come from. @param {(v: number) => number} x @param {(v: number) => number} y @param {boolean} magnified */
  function labelInvariantSet(x, y, magnified) {
    const { box } = plot;
    const { state, plane } = world;
    const shown = state.invariant && world.hasInvariantSet();
    labels.hide("invariant", !shown);
    if (!shown || magnified) return;
    const [a, b] = world.curvatures();
    const [along, across] = reachOfInvariantSet(view, a, b);
    const end = a >= b ? across : along;
    const below = state.start[plane[1]] >= 0;
    const at = below ? Math.min(y(-end) + 17, box.bottom - 8) : Math.max(y(end) - 8, box.top + 14);
    labels.put("invariant", x(0), at, "invariant set", "middle");
  }

  return { plot, handle, draw };
}

/** Halves of the reach, as far as an axis shows them. @param {import("../../shared/plane.js").Scale} scale @param {number} reach */
function ticksWithin(scale, reach) {
  const [low, high] = scale.domain();
  const most = Math.floor(Math.min(-low, high) / (reach / 2));
  return Array.from({ length: 2 * most + 1 }, (_, k) => Number((((k - most) / 2) * reach).toPrecision(6)));
}
