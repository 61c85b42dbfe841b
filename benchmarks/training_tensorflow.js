// The same gradient and SAM step with TensorFlow.js on its WASM backend (SIMD, one thread), for benchmarks/training.py.
// It has no forward mode, and so no product with the Hessian that is as cheap.

import "@tensorflow/tfjs-core/dist/register_all_gradients";
import * as tf from "@tensorflow/tfjs-core";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { randomNumbers, timed } from "./training_problem.js";

const [LR, RHO] = [0.2, 0.1];

/** @param {(p: any[]) => any[]} gradient */
const samStep = (gradient) => (/** @type {any[]} */ p) =>
  tf.tidy(() => {
    const up = gradient(p);
    const scale = tf.div(RHO, tf.sqrt(tf.addN(up.map((v) => tf.sum(tf.square(v))))));
    const down = gradient(p.map((v, i) => tf.add(v, tf.mul(up[i], scale))));
    return p.map((v, i) => tf.sub(v, tf.mul(down[i], LR)));
  });

/** @param {number} rows @param {number} width @param {number} count */
async function measure(rows, width, count) {
  setWasmPaths("/");
  await tf.setBackend("wasm");
  await tf.ready();
  const array = (/** @type {number[]} */ shape, scale = 1) =>
    tf.tensor(randomNumbers(shape.reduce((a, b) => a * b), scale), shape);
  const [inputs, targets] = [array([rows, 64]), array([rows, 10])];
  let p = [array([64, width], 0.25), array([width]), array([width, 10], 0.3), array([10])];
  const gradient = tf.grads((a, b, c, d) => {
    const h = tf.tanh(tf.add(tf.matMul(inputs, a), b));
    return tf.mul(tf.sum(tf.square(tf.sub(tf.add(tf.matMul(h, c), d), targets))), 0.5 / rows);
  });
  const sam = samStep(gradient);
  return {
    gradient: await timed(count, async () => {
      const found = gradient(p);
      found[0].dataSync();
      found.forEach((each) => each.dispose());
    }),
    step: await timed(count, async () => {
      const next = sam(p);
      p.forEach((each) => each.dispose());
      p = next;
      p[0].dataSync();
    }),
  };
}

Object.assign(globalThis, { measure });
