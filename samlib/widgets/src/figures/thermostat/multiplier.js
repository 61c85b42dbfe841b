// What a step of SAM does to the gradient's components on a quadratic, as the figure's model.py has it.

/**
 * m = 1 − ηλ − ηρλ²/‖∇L‖, by which a step multiplies the gradient along an eigenvector.
 *
 * @param {number} lambda @param {number} norm ‖∇L‖ @param {{lr: number, rho: number}} options
 */
export function multiplier(lambda, norm, { lr, rho }) {
  const descent = 1 - lr * lambda;
  return rho === 0 || lambda === 0 ? descent : descent - (lr * rho * (lambda * lambda)) / norm;
}

/**
 * The ‖∇L‖ that bends the curve through a point; ∞ for a point on or above gradient descent's line.
 *
 * @param {number} lambda @param {number} m @param {{lr: number, rho: number}} options
 */
export function normThrough(lambda, m, { lr, rho }) {
  const below = 1 - lr * lambda - m;
  return below > 0 ? (lr * rho * (lambda * lambda)) / below : Infinity;
}

/**
 * ηρλ₁²/(2 − ηλ₁), the ‖∇L‖ at which m(λ₁) = −1; NaN where there is none.
 *
 * @param {number} top @param {{lr: number, rho: number}} options
 */
export function balance(top, { lr, rho }) {
  const product = lr * top;
  return product > 0 && product < 2 ? (lr * rho * top * top) / (2 - product) : NaN;
}

/**
 * The multiple of `start` at which ‖∇L‖ is `norm`; `start` itself if no multiple has it.
 *
 * @param {number[]} eigenvalues @param {number[]} start @param {number} norm
 */
export function firstPoint(eigenvalues, start, norm) {
  const size = Math.sqrt(start.reduce((sum, x, i) => sum + (eigenvalues[i] * x) ** 2, 0));
  const scale = size > 0 ? norm / size : Infinity;
  return Number.isFinite(scale) ? start.map((x) => x * scale) : start;
}

/** The place of each eigenvalue among all, 1 for the largest; of equal ones the first is first. @param {number[]} values */
export function ranks(values) {
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
  return values.map((_, i) => order.indexOf(i) + 1);
}
