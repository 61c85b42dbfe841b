// The plane of the two largest eigenvalues: contours, both runs, arrows, the predicted two-cycle.

import { scaleLinear } from "d3-scale";
import { button } from "../../shared/controls.js";
import { svg } from "../../shared/dom.js";
import { number, subscript } from "../../shared/format.js";
import { createHandle } from "../../shared/handle.js";
import { arrow, createLabels, createPlot, diamond, niceCeil } from "../../shared/plot.js";
import { drawPoints, drawRuns } from "./runs.js";

/** Lengths of the arrows on the screen, so that both are seen where they point the same way. */
const GRADIENT = 48;
const EIGENVECTOR = 66;

/** @param {import("./view.js").View} view */
export function createBowl(view) {
  const { world } = view;
  const plot = createPlot({
    className: "samlib-plane",
    margin: { left: 44, right: 10, top: 8, bottom: 26 },
    square: true,
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
  const lensFrame = svg("path", { class: "samlib-lens" });
  plot.marks.append(lensFrame);
  const labels = createLabels(plot, ["∇L", "v₁", "lens", "invariant"]);
  const handle = createHandle(view, plot, () => world.plane);
  const { context } = plot;
  let half = 1;

  /**
   * The bowl in any rectangle of the canvas.
   *
   * @param {import("../../shared/plot.js").Box} box @param {number} reach half of what the rectangle shows
   */
  function drawScene(box, reach) {
    const { colours } = view;
    const { state, sam, at, dim, plane: [i, j] } = world; // prettier-ignore
    const centreX = (box.left + box.right) / 2;
    const centreY = (box.top + box.bottom) / 2;
    const scale = (box.right - box.left) / 2 / reach;
    const toX = (/** @type {number} */ v) => centreX + scale * v;
    const toY = (/** @type {number} */ v) => centreY - scale * v;

    // Where L = c there is an ellipse; c doubles from one to the next, for any magnification.
    const [a, b] = world.curvatures();
    const widest = (2 * reach * Math.SQRT2) ** 2 * Math.max(a, b);
    context.lineWidth = 1;
    context.strokeStyle = context.fillStyle = colours.faint;
    for (let c = 2 ** Math.ceil(Math.log2(widest)), n = 0; n < 18; c /= 2, n++) {
      context.beginPath();
      context.ellipse(centreX, centreY, Math.sqrt(c / a) * scale, Math.sqrt(c / b) * scale, 0, 0, 7);
      context.globalAlpha = 0.06;
      context.fill();
      context.globalAlpha = 0.5;
      if (Math.sqrt(c / Math.max(a, b)) * scale > 3) context.stroke();
    }
    context.globalAlpha = 1;

    if (state.invariant && world.hasInvariantSet()) drawInvariantSet(toX, toY, a, b);
    drawRuns(view, context, toX, toY, i, j);

    // Where Theorem 4.8 says that SAM ends: on the axis of the larger curvature.
    const centre = state.frame * dim;
    const radius = world.radius(world.sharpness(sam.x, centre));
    const [rx, ry] = a >= b ? [radius, 0] : [0, radius];
    const ends = Number.isFinite(radius) ? [[toX(rx), toY(ry)], [toX(-rx), toY(-ry)]] : []; // prettier-ignore
    for (const [ex, ey] of ends) diamond(context, ex, ey, 7, colours.ink);
    drawPoints(view, context, toX, toY, i, j);

    // The arrows: unit vectors, projected into the plane; v₁ in the sense that is nearer to ∇L.
    const x = toX(sam.x[centre + i]);
    const y = toY(sam.x[centre + j]);
    let size = 0;
    let dot = 0;
    for (let k = 0; k < dim; k++) {
      size += at.gradient[k] ** 2;
      dot += at.gradient[k] * at.eigenvector[k];
    }
    size = Math.sqrt(size);
    const sign = dot < 0 ? -1 : 1;
    const g = [at.gradient[i] / size, at.gradient[j] / size];
    const v = [sign * at.eigenvector[i], sign * at.eigenvector[j]];
    arrow(context, x, y, EIGENVECTOR * v[0], -EIGENVECTOR * v[1], colours.eigenvector, 1.75);
    arrow(context, x, y, GRADIENT * g[0], -GRADIENT * g[1], colours.ascent, 3);
    return { x, y, g, v, ends, centreX, centreY, scale };
  }

  /**
   * How far the invariant set reaches along the axis of λ₁, and along that of λ₂: the ellipse
   * ‖(λ₁x₁, λ₂x₂)‖ ≤ ηρλ₁² between the lines |x₂| = ηρλ₂. In more dimensions this is its section, and
   * its projection, too.
   *
   * @param {number} a @param {number} b the curvatures
   */
  function reachOfInvariantSet(a, b) {
    const { lr, rho } = world.state;
    return [lr * rho * Math.max(a, b), lr * rho * Math.min(a, b)];
  }

  /**
   * @param {(v: number) => number} toX @param {(v: number) => number} toY
   * @param {number} a @param {number} b the curvatures
   */
  function drawInvariantSet(toX, toY, a, b) {
    const { colours } = view;
    const [along, across] = reachOfInvariantSet(a, b);
    const ratio = Math.min(a, b) / Math.max(a, b);
    context.beginPath();
    for (const side of [1, -1]) {
      for (let k = -20; k <= 20; k++) {
        const v = side * across * (k / 20);
        const u = side * Math.sqrt(Math.max(along * along - (ratio * v) ** 2, 0));
        if (a >= b) context.lineTo(toX(u), toY(v));
        else context.lineTo(toX(v), toY(u));
      }
    }
    context.closePath();
    context.fillStyle = context.strokeStyle = colours.ink;
    context.globalAlpha = 0.07;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.setLineDash([7, 4]);
    context.stroke();
    context.setLineDash([]);
  }

  /**
   * The surroundings of the minimum, magnified in the quarter opposite to the start, where SAM does not
   * pass.
   *
   * @param {number} close half of what the lens shows
   * @param {{centreX: number, centreY: number, scale: number}} scene
   */
  function drawLens(close, { centreX: cx, centreY: cy, scale }) {
    const { box } = plot;
    const { state, plane: [i, j] } = world; // prettier-ignore
    const size = 0.4 * (box.right - box.left);
    const pad = 8;
    const onLeft = state.start[i] >= 0;
    const below = state.start[j] >= 0;
    const left = onLeft ? box.left + pad : box.right - pad - size;
    const top = below ? box.bottom - pad - size : box.top + pad;
    context.save();
    context.beginPath();
    context.rect(left, top, size, size);
    context.clip();
    context.fillStyle = view.colours.plot;
    context.fill();
    drawScene({ left, top, right: left + size, bottom: top + size }, close);
    context.restore();
    // Its frame, the frame of what it magnifies, and two lines between their corners.
    const r = Math.max(scale * close, 2);
    const [near, far] = onLeft ? [left + size, left] : [left, left + size];
    const [inner, outer] = below ? [top, top + size] : [top + size, top];
    const sx = onLeft ? -r : r;
    const sy = below ? r : -r;
    lensFrame.setAttribute(
      "d",
      `M${left} ${top}h${size}v${size}h${-size}z` +
        `M${cx - r} ${cy - r}h${2 * r}v${2 * r}h${-2 * r}z` +
        `M${cx + sx} ${cy - sy}L${far} ${inner}M${cx - sx} ${cy + sy}L${near} ${outer}`,
    );
    labels.put("invariant", left + size / 2, top + size - 8, "invariant set", "middle");
    labels.put("lens", left + 6, top + 16, `×${number(half / close, 2)}`, "start");
  }

  function draw() {
    const { box } = plot;
    if (box.right <= box.left) return;
    const { state, plane: [i, j], sam, dim, samples } = world; // prettier-ignore
    plot.clear();
    const radius = world.radius(world.sharpness(sam.x, state.frame * dim));
    const last = world.radius(sam.sharpness[samples.length - 1]);
    const far = Math.max(Math.abs(state.start[i]), Math.abs(state.start[j]));
    const cycle = Number.isFinite(radius) && radius < 20 * far ? radius : 0;
    if (!view.dragging) half = niceCeil(1.15 * Math.max(far, cycle) || 1);
    const close = Number.isFinite(last) && last > 0 ? niceCeil(2.2 * last) : 0;
    const zoomed = state.zoom && close > 0;
    const reach = zoomed ? close : half;
    const scene = drawScene(box, reach);

    const lens = !zoomed && close > 0 && close < 0.3 * half;
    lensFrame.toggleAttribute("hidden", !lens);
    labels.hide("lens", !lens);
    if (lens) drawLens(close, scene);

    const x = scaleLinear([-reach, reach], [box.left, box.right]);
    const y = scaleLinear([-reach, reach], [box.bottom, box.top]);
    const ticks = [-1, -0.5, 0, 0.5, 1].map((part) => Number((part * reach).toPrecision(6)));
    plot.axes(x, y, { xTicks: ticks, yTicks: ticks, xFormat: number, yFormat: number });
    plot.name(
      world.flat ? "The loss near its minimum" : "Across Γ: the bowl in (x₃, x₄)",
      `x${subscript(i + 1)}`,
      `x${subscript(j + 1)}`,
    );

    // Labels at the tips of the arrows, on opposite sides of them, unless v₁ would lie on a diamond.
    const { g, v, ends } = scene;
    const turn = Math.sign(g[0] * v[1] - g[1] * v[0]) || 1;
    const beside = (/** @type {number[]} */ [dx, dy], /** @type {number} */ length, /** @type {number} */ side) => [
      scene.x + length * dx - 14 * side * dy,
      scene.y - length * dy - 14 * side * dx,
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
    const shown = state.invariant && world.hasInvariantSet();
    labels.hide("invariant", !shown);
    if (shown && !lens) {
      const [a, b] = world.curvatures();
      const [along, across] = reachOfInvariantSet(a, b);
      // On the side of it where the runs do not come from.
      const end = a >= b ? across : along;
      const at = state.start[j] >= 0 ? Math.min(y(-end) + 17, box.bottom - 8) : Math.max(y(end) - 8, box.top + 14);
      labels.put("invariant", x(0), at, "invariant set", "middle");
    }
    handle.show(x, y);
    zoom.setAttribute("aria-pressed", String(state.zoom));
    zoom.textContent = state.zoom ? "Zoom out" : "Zoom in";
  }

  return { plot, handle, draw };
}
