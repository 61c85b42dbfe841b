// Whether a kernel answers.

/** How long a kernel may take to answer before the figure says that it does not, in ms. */
const PATIENCE = 4000;

/**
 * Is there a kernel? A page's model cannot send. A notebook's can, but only the answer tells that somebody
 * listens: a notebook may be shown long after its kernel has ended.
 *
 * @param {import("../../shared/model.js").Model} model @param {() => void} onChange
 */
export function createKernel(model, onChange) {
  /** @type {"none" | "asked" | "there" | "silent"} */
  let state = model.send ? "asked" : "none";
  let timer = 0;
  /** @param {typeof state} next */
  function turn(next) {
    clearTimeout(timer);
    timer = 0;
    if (state === next) return;
    state = next;
    onChange();
  }
  const answered = () => turn("there");
  if (model.send) model.on("msg:custom", answered);
  return {
    state: () => state,
    /** @param {"hello" | "measure" | "sweep" | "cancel"} wish */
    ask(wish) {
      if (!model.send) return;
      model.send({ wish });
      timer ||= window.setTimeout(() => turn("silent"), PATIENCE);
    },
    dispose() {
      clearTimeout(timer);
      model.off("msg:custom", answered);
    },
  };
}
