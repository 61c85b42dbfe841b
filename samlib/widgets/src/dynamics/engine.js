// The toy dynamics of the book in plain float64 JavaScript.
//
// Mirrors samlib/landscapes.py and samlib/rules.py operation by operation, so that both give the same
// iterates (tests/widgets/test_parity.py compares every one of them). Nothing here knows about drawing.
// A point is D neighbouring numbers of a Float64Array, at an offset `at`; the loops allocate nothing.

/**
 * A loss with its exact gradient and Hessian, and, where it is a finite sum, its components' gradients.
 *
 * @typedef {object} Landscape
 * @property {string} name
 * @property {number} dim
 * @property {(x: Float64Array) => number} value
 * @property {(x: Float64Array, at: number, out: Float64Array) => void} gradient
 * @property {(x: Float64Array, out: Float64Array) => void} hessian row-major dim × dim
 * @property {((x: Float64Array, at: number, out: Float64Array, k: number) => void)=} componentGradient
 *   the gradient of component k; the loss is the mean of its components
 * @property {number=} terms how many terms the sum has
 * @property {((x: Float64Array, at: number, out: Float64Array, w: ArrayLike<number>, k: number) => void)=} weightedGradient
 *   the gradient with its terms weighted by w[k], w[k + 1], …; all weights 1 give the loss
 * @property {((x: Float64Array, at: number, v: Float64Array, out: Float64Array) => void)=} hessianVectorProduct
 */

/**
 * What a run returns: `steps[i]` is the step of record i, its point is x[i·dim … (i+1)·dim).
 *
 * @typedef {object} Run
 * @property {number} dim
 * @property {number} every
 * @property {number} records
 * @property {Float64Array} x
 */

/** @typedef {"gradient-descent" | "sam" | "ascent-loss-descent" | "one-sam" | "mini-batch"} Rule */

/**
 * L(x) = ½ Σ λ_i x_i²: the coordinates are the eigenbasis.
 *
 * @param {ArrayLike<number>} eigenvalues
 * @returns {Landscape}
 */
export function quadratic(eigenvalues) {
  const lambda = Float64Array.from(eigenvalues);
  const dim = lambda.length;
  return {
    name: "quadratic",
    dim,
    value(x) {
      let sum = 0;
      for (let i = 0; i < dim; i++) sum += lambda[i] * x[i] * x[i];
      return 0.5 * sum;
    },
    gradient(x, at, out) {
      for (let i = 0; i < dim; i++) out[i] = lambda[i] * x[at + i];
    },
    hessian(_x, out) {
      out.fill(0);
      for (let i = 0; i < dim; i++) out[i * dim + i] = lambda[i];
    },
  };
}

/** tanh as samlib writes it; Math.exp is the quickest way to e to the power of … @param {number} z */
export const tanh = (z) => 2 / (1 + Math.exp(-2 * z)) - 1;

/**
 * L(x, y₁, y₂) = ½(λ₁(x) y₁² + λ₂(x) y₂²), λ₁ = 3 + ½ tanh x, λ₂ = 1 − 0.8 tanh x.
 *
 * @returns {Landscape}
 */
export function twoValleys() {
  return {
    name: "two-valleys",
    dim: 3,
    terms: 2,
    value(x) {
      const t = tanh(x[0]);
      return ((3 + 0.5 * t) * x[1] * x[1] + (1 - 0.8 * t) * x[2] * x[2]) / 2;
    },
    gradient(x, at, out) {
      const t = tanh(x[at]);
      const slope = 1 - t * t;
      const y1 = x[at + 1];
      const y2 = x[at + 2];
      out[0] = slope * (0.25 * y1 * y1 - 0.4 * y2 * y2);
      out[1] = (3 + 0.5 * t) * y1;
      out[2] = (1 - 0.8 * t) * y2;
    },
    hessian(x, out) {
      const t = tanh(x[0]);
      const slope = 1 - t * t;
      const y1 = x[1];
      const y2 = x[2];
      out[0] = -2 * t * slope * (0.25 * y1 * y1 - 0.4 * y2 * y2);
      out[1] = out[3] = 0.5 * slope * y1;
      out[2] = out[6] = -0.8 * slope * y2;
      out[4] = 3 + 0.5 * t;
      out[5] = out[7] = 0;
      out[8] = 1 - 0.8 * t;
    },
    componentGradient(x, at, out, k) {
      const t = tanh(x[at]);
      const slope = 1 - t * t;
      const y1 = x[at + 1];
      const y2 = x[at + 2];
      out[0] = slope * (k === 0 ? 0.5 * y1 * y1 : -0.8 * y2 * y2);
      out[1] = k === 0 ? 2 * (3 + 0.5 * t) * y1 : 0;
      out[2] = k === 0 ? 0 : 2 * (1 - 0.8 * t) * y2;
    },
    weightedGradient(x, at, out, w, k) {
      const t = tanh(x[at]);
      const slope = 1 - t * t;
      const y1 = x[at + 1];
      const y2 = x[at + 2];
      out[0] = slope * (0.25 * w[k] * y1 * y1 - 0.4 * w[k + 1] * y2 * y2);
      out[1] = w[k] * (3 + 0.5 * t) * y1;
      out[2] = w[k + 1] * (1 - 0.8 * t) * y2;
    },
  };
}

/**
 * L(x) = ½ (x₂ − ½x₁²)²: a valley whose floor is a parabola.
 *
 * @returns {Landscape}
 */
export function curvedValley() {
  return {
    name: "curved-valley",
    dim: 2,
    value(x) {
      const h = x[1] - (x[0] * x[0]) / 2;
      return (h * h) / 2;
    },
    gradient(x, at, out) {
      const h = x[at + 1] - (x[at] * x[at]) / 2;
      out[0] = -h * x[at];
      out[1] = h;
    },
    hessian(x, out) {
      out[0] = x[0] * x[0] - (x[1] - (x[0] * x[0]) / 2);
      out[1] = out[2] = -x[0];
      out[3] = 1;
    },
  };
}

/**
 * L(x) = ¼(x₁² − 1)² + ½x₂²: two minimizers and a saddle between them.
 *
 * @returns {Landscape}
 */
export function doubleWell() {
  return {
    name: "double-well",
    dim: 2,
    value(x) {
      const h = x[0] * x[0] - 1;
      return (h * h) / 4 + (x[1] * x[1]) / 2;
    },
    gradient(x, at, out) {
      out[0] = (x[at] * x[at] - 1) * x[at];
      out[1] = x[at + 1];
    },
    hessian(x, out) {
      out[0] = 3 * x[0] * x[0] - 1;
      out[1] = out[2] = 0;
      out[3] = 1;
    },
  };
}

/**
 * The loss of Figure 1: F₁ x₃² + F₂ x₄² with F₁ = x₁² + 6x₂² + 8, F₂ = 4(1−x₁)² + (1−x₂)² + 1.
 *
 * @returns {Landscape}
 */
export function fourDimensional() {
  return {
    name: "four-dimensional",
    dim: 4,
    value(x) {
      return factor1(x[0], x[1]) * x[2] * x[2] + factor2(x[0], x[1]) * x[3] * x[3];
    },
    gradient(x, at, out) {
      const x1 = x[at];
      const x2 = x[at + 1];
      const x3 = x[at + 2];
      const x4 = x[at + 3];
      const d1 = 1 - x1;
      const d2 = 1 - x2;
      const f1 = x1 * x1 + 6 * x2 * x2 + 8;
      const f2 = 4 * d1 * d1 + d2 * d2 + 1;
      out[0] = 2 * x1 * x3 * x3 - 8 * d1 * x4 * x4;
      out[1] = 12 * x2 * x3 * x3 - 2 * d2 * x4 * x4;
      out[2] = 2 * f1 * x3;
      out[3] = 2 * f2 * x4;
    },
    hessian(x, out) {
      const [x1, x2, x3, x4] = x;
      const d1 = 1 - x1;
      const d2 = 1 - x2;
      out.fill(0);
      out[0] = 2 * x3 * x3 + 8 * x4 * x4;
      out[5] = 12 * x3 * x3 + 2 * x4 * x4;
      out[10] = 2 * factor1(x1, x2);
      out[15] = 2 * factor2(x1, x2);
      out[2] = out[8] = 4 * x1 * x3;
      out[3] = out[12] = -16 * d1 * x4;
      out[6] = out[9] = 24 * x2 * x3;
      out[7] = out[13] = -4 * d2 * x4;
    },
    componentGradient(x, at, out, k) {
      const x1 = x[at];
      const x2 = x[at + 1];
      const x3 = x[at + 2];
      const x4 = x[at + 3];
      if (k === 0) {
        out[0] = 4 * x1 * x3 * x3;
        out[1] = 24 * x2 * x3 * x3;
        out[2] = 4 * factor1(x1, x2) * x3;
        out[3] = 0;
      } else {
        out[0] = -16 * (1 - x1) * x4 * x4;
        out[1] = -4 * (1 - x2) * x4 * x4;
        out[2] = 0;
        out[3] = 4 * factor2(x1, x2) * x4;
      }
    },
    hessianVectorProduct(x, at, v, out) {
      const x1 = x[at];
      const x2 = x[at + 1];
      const x3 = x[at + 2];
      const x4 = x[at + 3];
      const h02 = 4 * x1 * x3;
      const h12 = 24 * x2 * x3;
      const h03 = -16 * (1 - x1) * x4;
      const h13 = -4 * (1 - x2) * x4;
      out[0] = (2 * x3 * x3 + 8 * x4 * x4) * v[0] + h02 * v[2] + h03 * v[3];
      out[1] = (12 * x3 * x3 + 2 * x4 * x4) * v[1] + h12 * v[2] + h13 * v[3];
      out[2] = h02 * v[0] + h12 * v[1] + 2 * factor1(x1, x2) * v[2];
      out[3] = h03 * v[0] + h13 * v[1] + 2 * factor2(x1, x2) * v[3];
    },
  };
}

/** F₁ of the four-dimensional loss. @param {number} x1 @param {number} x2 */
export const factor1 = (x1, x2) => x1 * x1 + 6 * x2 * x2 + 8;

/** F₂ of the four-dimensional loss. @param {number} x1 @param {number} x2 */
export const factor2 = (x1, x2) => 4 * (1 - x1) * (1 - x1) + (1 - x2) * (1 - x2) + 1;

/**
 * Run a rule; keep the start, every `every`-th iterate and the last, as samlib.simulate does.
 *
 * A run that has come back to the same bits (gradient descent arrived, SAM in its two-cycle) is continued
 * by copying: the map is deterministic, so these are the same numbers.
 *
 * @param {Landscape} landscape
 * @param {Rule} rule
 * @param {{start: ArrayLike<number>, steps: number, lr: number, rho?: number, every?: number,
 *   draws?: ArrayLike<number>, weights?: ArrayLike<number>, into?: Float64Array}} options
 *   `draws[t]` is the component that 1-SAM uses at step t; `weights` holds those of the terms at every step of
 *   mini-batch SAM, one step after the other; `into` is reused when it is long enough
 * @returns {Run}
 */
export function simulate(
  landscape, rule, { start, steps, lr, rho = 0, every = 1, draws, weights, into },
) { // prettier-ignore
  const { dim } = landscape;
  if (start.length !== dim) throw new RangeError(`start has ${start.length} numbers, not ${dim}`);
  const advance = makeRule(landscape, rule, lr, rho, draws, weights);
  const stochastic = rule === "one-sam" || rule === "mini-batch";
  const records = Math.ceil(steps / every) + 1;
  const x = into && into.length >= records * dim ? into : new Float64Array(records * dim);
  x.set(start);
  if (every > 1) {
    const walk = new Float64Array((every + 1) * dim);
    for (let r = 1, t = 0; r < records; r++) {
      const count = Math.min(every, steps - t);
      walk.set(x.subarray((r - 1) * dim, r * dim));
      advance(walk, 0, count, t);
      x.set(walk.subarray(count * dim, (count + 1) * dim), r * dim);
      t += count;
    }
    return { dim, every, records, x };
  }
  for (let t = 0; t < steps; t += PERIOD) {
    const count = Math.min(PERIOD, steps - t);
    const at = t * dim;
    advance(x, at, count, t);
    if (!stochastic && count === PERIOD && same(x, at, at + PERIOD * dim, dim)) {
      for (let to = at + (PERIOD + 1) * dim; to < records * dim; to += PERIOD * dim) {
        x.copyWithin(to, at + dim, at + dim + Math.min(PERIOD * dim, records * dim - to));
      }
      break;
    }
  }
  return { dim, every, records, x };
}

/** How far apart two iterates are that are compared for coming back; a multiple of two. */
const PERIOD = 64;

/**
 * The loop of a rule: advance(x, at, count, t) continues the point at `at`, which is that of step t, by
 * `count` iterates written one after the other behind it.
 *
 * @param {Landscape} landscape @param {Rule} rule @param {number} lr @param {number} rho
 * @param {ArrayLike<number>} [draws] @param {ArrayLike<number>} [weights]
 * @returns {(x: Float64Array, at: number, count: number, t: number) => void}
 */
function makeRule(landscape, rule, lr, rho, draws, weights) {
  const { dim, componentGradient, weightedGradient } = landscape;
  const grad = new Float64Array(dim);
  const ahead = new Float64Array(dim);
  if (rule === "gradient-descent") {
    return (x, at, count) => {
      for (const end = at + count * dim; at < end; at += dim) {
        landscape.gradient(x, at, grad);
        descend(x, at, grad, lr);
      }
    };
  }
  if (rule === "sam") {
    return (x, at, count) => {
      for (const end = at + count * dim; at < end; at += dim) {
        landscape.gradient(x, at, grad);
        perturb(x, at, grad, rho, ahead);
        landscape.gradient(ahead, 0, grad);
        descend(x, at, grad, lr);
      }
    };
  }
  if (rule === "mini-batch") {
    const { terms = 0 } = landscape;
    if (!weightedGradient || !weights) throw new RangeError("mini-batch SAM needs a sum, and weights");
    return (x, at, count, t) => {
      for (const end = at + count * dim; at < end; at += dim, t++) {
        weightedGradient(x, at, grad, weights, terms * t);
        perturb(x, at, grad, rho, ahead);
        weightedGradient(ahead, 0, grad, weights, terms * t);
        descend(x, at, grad, lr);
      }
    };
  }
  if (rule === "ascent-loss-descent") {
    const { hessianVectorProduct } = landscape;
    if (!hessianVectorProduct) throw new RangeError("descent on L^Asc needs Hessian-vector products");
    const u = new Float64Array(dim);
    const turning = new Float64Array(dim);
    return (x, at, count) => {
      for (const end = at + count * dim; at < end; at += dim) {
        landscape.gradient(x, at, u);
        const norm = unit(u);
        for (let i = 0; i < dim; i++) ahead[i] = x[at + i] + rho * u[i];
        landscape.gradient(ahead, 0, grad);
        let along = 0;
        for (let i = 0; i < dim; i++) along += u[i] * grad[i];
        for (let i = 0; i < dim; i++) u[i] = grad[i] - along * u[i];
        hessianVectorProduct(x, at, u, turning);
        const scale = norm === 0 ? 0 : rho / norm;
        for (let i = 0; i < dim; i++) grad[i] += scale * turning[i];
        descend(x, at, grad, lr);
      }
    };
  }
  if (!componentGradient || !draws) throw new RangeError("1-SAM needs a loss with components, and draws");
  return (x, at, count, t) => {
    for (const end = at + count * dim; at < end; at += dim, t++) {
      componentGradient(x, at, grad, draws[t]);
      perturb(x, at, grad, rho, ahead);
      componentGradient(ahead, 0, grad, draws[t]);
      descend(x, at, grad, lr);
    }
  };
}

/** Sizes below this become 0: rounding would hold them above 0 for ever, where arithmetic is slow. */
const TINY = 1e-290;

/**
 * Write x − ηg behind x. @param {Float64Array} x @param {number} at @param {Float64Array} g @param {number} lr
 */
function descend(x, at, g, lr) {
  const dim = g.length;
  for (let i = 0; i < dim; i++) {
    const next = x[at + i] - lr * g[i];
    x[at + dim + i] = next < TINY && next > -TINY ? 0 : next;
  }
}

/**
 * SAM's look-ahead x + ρ g/‖g‖; at g = 0 the direction is (1, …, 1)/√D.
 *
 * @param {Float64Array} x @param {number} at @param {Float64Array} g @param {number} rho
 * @param {Float64Array} out
 */
function perturb(x, at, g, rho, out) {
  const dim = g.length;
  let sum = 0;
  for (let i = 0; i < dim; i++) sum += g[i] * g[i];
  const length = Math.sqrt(sum);
  if (length === 0) for (let i = 0; i < dim; i++) out[i] = x[at + i] + rho * (1 / Math.sqrt(dim));
  else for (let i = 0; i < dim; i++) out[i] = x[at + i] + rho * (g[i] / length);
}

/** Make g/‖g‖ of g, and (1, …, 1)/√D of zero; return ‖g‖. @param {Float64Array} g */
function unit(g) {
  const dim = g.length;
  let sum = 0;
  for (let i = 0; i < dim; i++) sum += g[i] * g[i];
  const length = Math.sqrt(sum);
  for (let i = 0; i < dim; i++) g[i] = length === 0 ? 1 / Math.sqrt(dim) : g[i] / length;
  return length;
}

/** @param {Float64Array} x @param {number} a @param {number} b @param {number} dim */
function same(x, a, b, dim) {
  for (let i = 0; i < dim; i++) if (x[a + i] !== x[b + i]) return false;
  return true;
}

/**
 * The largest eigenvalue of a symmetric matrix and its unit eigenvector, by cyclic Jacobi rotations.
 *
 * @param {Float64Array} matrix row-major dim × dim, overwritten
 * @param {Float64Array} vectors dim × dim of work space
 * @param {Float64Array} vector receives the eigenvector
 * @returns {number} the eigenvalue
 */
export function topEigenpair(matrix, vectors, vector) {
  const dim = vector.length;
  vectors.fill(0);
  for (let i = 0; i < dim; i++) vectors[i * dim + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0;
    let diagonal = 0;
    for (let i = 0; i < dim; i++) {
      diagonal += matrix[i * dim + i] * matrix[i * dim + i];
      for (let j = 0; j < i; j++) off += matrix[i * dim + j] * matrix[i * dim + j];
    }
    if (!(off > 1e-34 * diagonal)) break;
    for (let p = 0; p < dim - 1; p++) {
      for (let q = p + 1; q < dim; q++) {
        const apq = matrix[p * dim + q];
        if (apq === 0) continue;
        const theta = (matrix[q * dim + q] - matrix[p * dim + p]) / (2 * apq);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        const s = t * c;
        for (let k = 0; k < dim; k++) {
          const kp = matrix[k * dim + p];
          const kq = matrix[k * dim + q];
          matrix[k * dim + p] = c * kp - s * kq;
          matrix[k * dim + q] = s * kp + c * kq;
        }
        for (let k = 0; k < dim; k++) {
          const pk = matrix[p * dim + k];
          const qk = matrix[q * dim + k];
          matrix[p * dim + k] = c * pk - s * qk;
          matrix[q * dim + k] = s * pk + c * qk;
          const vp = vectors[k * dim + p];
          const vq = vectors[k * dim + q];
          vectors[k * dim + p] = c * vp - s * vq;
          vectors[k * dim + q] = s * vp + c * vq;
        }
      }
    }
  }
  let top = 0;
  for (let i = 1; i < dim; i++) if (matrix[i * dim + i] > matrix[top * dim + top]) top = i;
  for (let k = 0; k < dim; k++) vector[k] = vectors[k * dim + top];
  return matrix[top * dim + top];
}

/**
 * What the figures show at one point: gradient, top eigenpair of the exact full Hessian, and the angle
 * between them. The object is reused from call to call.
 *
 * @param {Landscape} landscape
 */
export function probe(landscape) {
  const { dim } = landscape;
  const matrix = new Float64Array(dim * dim);
  const vectors = new Float64Array(dim * dim);
  const at = {
    x: new Float64Array(dim),
    gradient: new Float64Array(dim),
    eigenvector: new Float64Array(dim),
    eigenvalue: NaN,
    /** |cos ∠(∇L, v₁)|; NaN where the gradient is zero or not finite. */
    alignment: NaN,
    /** ∠(∇L, v₁) in degrees, between 0 and 90. */
    angle: NaN,
    /** @param {ArrayLike<number>} x @param {number} [offset] */
    look(x, offset = 0) {
      for (let i = 0; i < dim; i++) at.x[i] = x[offset + i];
      landscape.gradient(at.x, 0, at.gradient);
      landscape.hessian(at.x, matrix);
      at.eigenvalue = topEigenpair(matrix, vectors, at.eigenvector);
      // Scaled first, so that squares of a tiny gradient do not underflow.
      let scale = 0;
      for (let i = 0; i < dim; i++) scale = Math.max(scale, Math.abs(at.gradient[i]));
      // Below this a gradient has arrived: among subnormal numbers its direction is noise.
      if (!(scale > 1e-150)) scale = NaN;
      let dot = 0;
      for (let i = 0; i < dim; i++) dot += (at.gradient[i] / scale) * at.eigenvector[i];
      let across = 0;
      let square = 0;
      for (let i = 0; i < dim; i++) {
        const g = at.gradient[i] / scale;
        const rest = g - dot * at.eigenvector[i];
        across += rest * rest;
        square += g * g;
      }
      at.alignment = Math.min(1, Math.abs(dot) / Math.sqrt(square));
      // From both sides of the triangle: arccos would lose every angle below 1e-8.
      at.angle = (Math.atan2(Math.sqrt(across), Math.abs(dot)) * 180) / Math.PI;
      return at;
    },
  };
  return at;
}

/**
 * The limit of ‖x‖ in Theorem 4.8: ηρλ₁/(2 − ηλ₁), the half-length of SAM's two-cycle on a quadratic.
 * Beyond ηλ₁ = 2 there is none.
 *
 * @param {number} lr @param {number} rho @param {number} lambda1
 */
export function cycleRadius(lr, rho, lambda1) {
  return lr * lambda1 < 2 ? (lr * rho * lambda1) / (2 - lr * lambda1) : Infinity;
}

// ── The three notions of sharpness on Γ of the four-dimensional loss ───────────────────────────────

/** @typedef {"worst" | "ascent" | "average"} Notion */

/**
 * Where on Γ each notion's limiting regularizer is least: F₁ (λ₁ = 2F₁ there) at the origin, F₂ (λ_M) at
 * (1, 1), their sum (the trace) where x₁ = 4(1 − x₁) and 6x₂ = 1 − x₂.
 *
 * @type {Readonly<Record<Notion, readonly [number, number]>>}
 */
export const PREFERRED = { worst: [0, 0], ascent: [1, 1], average: [4 / 5, 1 / 7] };

/**
 * The limiting regularizers at a point of Γ (Definition 4.1): S^Max = λ₁/2; λ_M/2, which is where the band
 * S^Asc begins (it ends at λ₁/2); S^Avg = Tr/(2D). The eigenvalues are 2F₁ and 2F₂, in either order.
 *
 * @param {number} x1 @param {number} x2
 * @returns {Record<Notion, number>}
 */
export function limitingRegularizers(x1, x2) {
  const f1 = factor1(x1, x2);
  const f2 = factor2(x1, x2);
  return { worst: Math.max(f1, f2), ascent: Math.min(f1, f2), average: (f1 + f2) / 4 };
}

/**
 * What R^Asc/ρ² tends to as x′ → x on Γ from the direction (cos, sin) in (x₃, x₄): ½uᵀ∇²L u with the
 * direction u of the gradient there, which is that of (2F₁ cos, 2F₂ sin).
 *
 * @param {number} x1 @param {number} x2 @param {number} angle in degrees
 * @returns {{u: [number, number], value: number}} u in (x₃, x₄)
 */
export function approachFrom(x1, x2, angle) {
  const f1 = factor1(x1, x2);
  const f2 = factor2(x1, x2);
  const g3 = f1 * Math.cos((angle * Math.PI) / 180);
  const g4 = f2 * Math.sin((angle * Math.PI) / 180);
  const size = Math.hypot(g3, g4);
  const u3 = g3 / size;
  const u4 = g4 / size;
  return { u: [u3, u4], value: f1 * u3 * u3 + f2 * u4 * u4 };
}

// ── Mini-batch SAM, and the floor of the two valleys ────────────────────────────────────────────────

/**
 * The weights of both terms of a two-term loss at every step of mini-batch SAM.
 *
 * Step t has a word of 32 random bits, the output t of the generator mulberry32 (Tommy Ettinger), and
 * draw j of the step is its bit j: 0 for the first component, 1 for the second. A component drawn c times
 * out of m has the weight 2c/m. Batches of several sizes with one seed share their first draws.
 *
 * @param {number} seed a whole number below 2³² @param {number} size m, from 1 to 32
 * @param {number} steps
 * @returns {Float64Array} two weights per step, one step after the other
 */
export function batchWeights(seed, size, steps) {
  const weights = new Float64Array(2 * steps);
  const mask = size === 32 ? -1 : (1 << size) - 1;
  for (let t = 0, state = seed | 0; t < steps; t++) {
    state = (state + 0x6d2b79f5) | 0;
    const second = countBits(mulberry(state) & mask);
    weights[2 * t] = ((size - second) * 2) / size;
    weights[2 * t + 1] = (second * 2) / size;
  }
  return weights;
}

/**
 * The component, 0 or 1, that 1-SAM draws at every step: bit 0 of the step's random word.
 *
 * @param {number} seed a whole number below 2³² @param {number} steps
 * @returns {Uint8Array}
 */
export function componentDraws(seed, steps) {
  const draws = new Uint8Array(steps);
  for (let t = 0, state = seed | 0; t < steps; t++) {
    state = (state + 0x6d2b79f5) | 0;
    draws[t] = mulberry(state) & 1;
  }
  return draws;
}

/**
 * `count` outputs of the generator mulberry32 after the first `skipped` ones.
 *
 * @param {number} seed @param {number} skipped @param {number} count
 */
export function randomWords(seed, skipped, count) {
  const words = new Uint32Array(count);
  let state = (seed + Math.imul(0x6d2b79f5, skipped)) | 0;
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) | 0;
    words[i] = mulberry(state);
  }
  return words;
}

/** What mulberry32 makes of its counter: 32 bits, as a signed number. @param {number} state */
function mulberry(state) {
  let z = Math.imul(state ^ (state >>> 15), state | 1);
  z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
  return z ^ (z >>> 14);
}

/** How many bits of a 32-bit number are 1: in pairs, fours, bytes, all. @param {number} n */
function countBits(n) {
  n -= (n >>> 1) & 0x55555555;
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** λ₁ on the floor of the two valleys, and its slope for valleyFlow. @param {number} x */
export const valleyTop = (x) => 3 + 0.5 * tanh(x);

/** Tr ∇²L on the floor of the two valleys. @param {number} x */
export const valleyTrace = (x) => 3 + 0.5 * tanh(x) + (1 - 0.8 * tanh(x));

/** λ₁ and the trace are a constant plus so many tanh x. */
export const VALLEY_SLOPES = { top: 0.5, trace: -0.3 };

/**
 * Where a limiting flow on the floor of the two valleys is at time τ: dX/dτ = −½ S′(X), S′ = slope/cosh² X.
 *
 * Multiplied by cosh² X it integrates to X/2 + sinh(2X)/4 = that at the start − slope τ/2. Newton's method
 * solves for X; from beyond the solution it comes down to it, because the left side is convex there.
 *
 * @param {number} start @param {number} slope @param {number} tau
 */
export function valleyFlow(start, slope, tau) {
  const goal = start / 2 + Math.sinh(2 * start) / 4 - (slope * tau) / 2;
  let x = Math.asinh(4 * goal) / 2;
  if (!Number.isFinite(x)) return x;
  for (let i = 0; i < 50; i++) {
    const c = Math.cosh(x);
    const next = x - (x / 2 + Math.sinh(2 * x) / 4 - goal) / (c * c);
    if (!(Math.abs(next - x) > 1e-15 * Math.abs(x))) return next;
    x = next;
  }
  return x;
}

/**
 * The share of the gradient's square along each coordinate, g_i²/‖g‖²; NaN where the gradient is zero.
 *
 * @param {ArrayLike<number>} gradient @param {Float64Array} out
 */
export function shares(gradient, out) {
  // Scaled first, as in `probe`.
  let scale = 0;
  for (let i = 0; i < out.length; i++) scale = Math.max(scale, Math.abs(gradient[i]));
  if (!(scale > 1e-150)) scale = NaN;
  let sum = 0;
  for (let i = 0; i < out.length; i++) sum += out[i] = (gradient[i] / scale) ** 2;
  for (let i = 0; i < out.length; i++) out[i] /= sum;
  return out;
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
