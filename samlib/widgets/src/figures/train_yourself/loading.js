// The script that trains: beside the page's own on a page, from Python in a notebook.

import { loadTraining } from "../../training/load.js";

/** How long (ms) a kernel may take to send the script. */
const PATIENCE = 20_000;

/**
 * @param {import("../../shared/model.js").Model} model
 * @returns {() => Promise<import("./session.js").Engine>}
 */
export const loaderFor = (model) => async () => loadTraining(model.send ? await fromKernel(model) : undefined);

/** @param {import("../../shared/model.js").Model} model @returns {Promise<string>} */
function fromKernel(model) {
  const ready = () => String(model.get("_engine") ?? "");
  if (ready()) return Promise.resolve(ready());
  return new Promise((done, fail) => {
    const answered = () => {
      clearTimeout(timer);
      model.off("change:_engine", answered);
      done(ready());
    };
    const timer = window.setTimeout(() => {
      model.off("change:_engine", answered);
      fail(new Error("The script that trains comes from the kernel, and none answers."));
    }, PATIENCE);
    model.on("change:_engine", answered);
    model.send?.({ wish: "engine" });
  });
}
