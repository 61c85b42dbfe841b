// The same gradient, SAM step and Hessian-vector product with jax-js on its WASM backend, for benchmarks/training.py.

import { blockUntilReady, defaultDevice, grad, init, jit, jvp, numpy as np } from "@jax-js/jax";
import { randomNumbers, timed } from "./training_problem.js";

const [LR, RHO] = [0.2, 0.1];

/** Arrays are counted: each use but the last needs a reference of its own. @param {Record<string, any>} p */
const again = (p) => Object.fromEntries(Object.entries(p).map(([name, value]) => [name, value.ref]));

/** @param {any} loss */
function samStep(loss) {
  return jit((/** @type {any} */ p) => {
    const g = grad(loss)(again(p));
    const squares = Object.values(g).map((v) => np.square(v.ref).sum());
    const scale = np.reciprocal(np.sqrt(squares.reduce((a, b) => a.add(b)))).mul(RHO);
    const ahead = Object.fromEntries(Object.entries(g).map(([k, v]) => [k, p[k].ref.add(v.mul(scale.ref))]));
    scale.dispose?.();
    const down = grad(loss)(ahead);
    return Object.fromEntries(Object.entries(down).map(([k, v]) => [k, p[k].sub(v.mul(LR))]));
  });
}

/** @param {Record<string, any>} result */
async function finish(result) {
  for (const value of Object.values(result)) {
    await blockUntilReady(value);
    value.dispose();
  }
}

/** @param {number} rows @param {number} width @param {number} count */
async function measure(rows, width, count) {
  await init("wasm");
  defaultDevice("wasm");
  const array = (/** @type {number[]} */ shape, scale = 1) =>
    np.array(randomNumbers(shape.reduce((a, b) => a * b), scale)).reshape(shape);
  const [inputs, targets] = [array([rows, 64]), array([rows, 10])];
  let p = { a: array([64, width], 0.25), b: array([width]), c: array([width, 10], 0.3), d: array([10]) };
  const loss = (/** @type {any} */ p) => {
    const h = np.tanh(np.add(np.matmul(inputs.ref, p.a), p.b));
    const off = np.add(np.matmul(h, p.c), p.d).sub(targets.ref);
    return np.square(off).sum().mul(0.5 / rows);
  };
  const [gradient, sam] = [jit(grad(loss)), samStep(loss)];
  const product = jit((/** @type {any} */ p, /** @type {any} */ v) => jvp(grad(loss), [p], [v])[1]);
  return {
    gradient: await timed(count, () => finish(gradient(again(p)))),
    product: await timed(count, () => finish(product(again(p), again(p)))),
    step: await timed(count, async () => {
      p = sam(p);
      await blockUntilReady(p.a);
    }),
  };
}

Object.assign(globalThis, { measure });
