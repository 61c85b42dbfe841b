// The set of the proof of Theorem 4.8 in the plane of the two largest eigenvalues.

/** @typedef {import("./view.js").View} View */

/**
 * How far it reaches along the axis of λ₁, and along that of λ₂: the ellipse ‖(λ₁x₁, λ₂x₂)‖ ≤ ηρλ₁² between the
 * lines |x₂| = ηρλ₂. In more dimensions this is its section, and its projection, too.
 *
 * @param {View} view @param {number} a @param {number} b the curvatures
 */
export function reachOfInvariantSet({ world }, a, b) {
  const { lr, rho } = world.state;
  return [lr * rho * Math.max(a, b), lr * rho * Math.min(a, b)];
}

/**
 * @param {View} view @param {CanvasRenderingContext2D} context
 * @param {{toX: (v: number) => number, toY: (v: number) => number}} place
 * @param {number} a @param {number} b the curvatures
 */
export function drawInvariantSet(view, context, { toX, toY }, a, b) {
  const [along, across] = reachOfInvariantSet(view, a, b);
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
  context.fillStyle = context.strokeStyle = view.colours.ink;
  context.globalAlpha = 0.07;
  context.fill();
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  context.setLineDash([7, 4]);
  context.stroke();
  context.setLineDash([]);
}
