// What Theorem 4.8 says of SAM on a quadratic: its two-cycle, and the set that it enters and never leaves.

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
