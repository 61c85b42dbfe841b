// SAM's two-cycle: what Theorem 4.8 says of it on a quadratic, with the set that SAM enters and never leaves, and how
// lopsided it is elsewhere.

/**
 * The limit of ‖x‖ in Theorem 4.8: ηρλ₁/(2 − ηλ₁), the half-length of SAM's two-cycle on a quadratic.
 * Beyond ηλ₁ = 2 there is none.
 *
 * @param {number} lr @param {number} rho @param {number} lambda1
 */
export function cycleRadius(lr, rho, lambda1) {
  return lr * lambda1 < 2 ? (lr * rho * lambda1) / (2 - lr * lambda1) : Infinity;
}

/**
 * The set of the proof of Theorem 4.8, which SAM with ηλ₁ < 1 enters and never leaves:
 * ‖P^(j:D) ∇L(x)‖ ≤ ηρλ_j² for every j. The function returned counts the j for which that holds; D of them
 * are the set. (samlib: Quadratic.in_invariant_set, where the reason is.)
 *
 * @param {number[]} eigenvalues @param {number} lr @param {number} rho
 * @returns {(x: ArrayLike<number>, at?: number) => number}
 */
export function invariantConditions(eigenvalues, lr, rho) {
  const order = eigenvalues.map((_, i) => i).sort((a, b) => eigenvalues[a] - eigenvalues[b]);
  return (x, at = 0) => {
    let sum = 0;
    let met = 0;
    for (const i of order) {
      const lambda = eigenvalues[i];
      sum += (lambda * x[at + i]) ** 2;
      if (Math.sqrt(sum) <= lr * rho * (lambda * lambda)) met++;
    }
    return met;
  };
}

/**
 * SAM's two-cycle over a point of Γ to first order in ρ/η, as samlib.flow.two_cycle: on the wall of ±v₁ the direction
 * of the gradient is ±v₁ + Σ (tᵢ ± δᵢ) vᵢ. The swing δ is kept within what a direction can do.
 *
 * @param {number[]} values the eigenvalues λ₁, … @param {ArrayLike<number>} bend ∂³L[v₁, v₁, vᵢ] for each of them
 * @param {number} lr @param {number} rho
 */
export function lopsidedCycle([top, ...others], bend, lr, rho) {
  const half = cycleRadius(lr, rho, top);
  const reach = rho + half;
  const push = -(reach * reach - half * half) / 2;
  const lopsidedness = (push * bend[0]) / (top * half);
  const swing = others.map((value, i) => {
    const tilt = (push * bend[i + 1]) / (top * half + rho * value);
    const feedback = ((value / top) ** 2 * (2 - lr * top)) / (2 - lr * value);
    return (-Math.tanh(lopsidedness) * tilt) / (1 - feedback);
  });
  const length = Math.sqrt(1 + swing.reduce((sum, d) => sum + d * d, 0));
  return { reach, lopsidedness, swing: swing.map((d) => d / length) };
}
