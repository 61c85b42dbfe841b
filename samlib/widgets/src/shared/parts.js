// Scripts of their own for what is heavy: they come when they are needed, and pages without them pay nothing.
//
// A part is a file of static/ that ends in offer(name, what it has). On a page it is fetched from beside the bundle as a
// classic script, which works on a page opened from a file, too. In a notebook Python sends its text: what is
// asked for there is a message, and the answer stands in the trait _parts.

/** @typedef {import("./model.js").Model} Model */

/** Where the bundle itself came from; nowhere in a notebook. */
const HERE = /** @type {HTMLScriptElement | null} */ (globalThis.document?.currentScript)?.src;

/** @type {Map<string, Promise<any>>} what was asked for */
const asked = new Map();

/** @returns {Record<string, any>} what has come, for all copies of the bundle on a page */
const offered = () => (/** @type {any} */ (globalThis).samlibParts ??= {});

/** Called by a part when it is there. @param {string} name @param {object} what */
export function offer(name, what) {
  offered()[name] = what;
}

/**
 * What a part offers, fetched when it is asked for the first time.
 *
 * @param {Model} model of the figure that asks @param {string} name
 * @returns {Promise<any>} refused if the part cannot be had
 */
export function partOf(model, name) {
  const before = asked.get(name);
  if (before) return before;
  const part = (model.send ? fromKernel(model, name) : fromPage(name)).then(() => offered()[name]);
  asked.set(name, part);
  part.catch(() => asked.delete(name)); // it may be had the next time
  return part;
}

/** @param {string} name @returns {Promise<void>} */
function fromPage(name) {
  return new Promise((done, fail) => {
    const src = new URL(PARTS[name], HERE || location.href).href;
    const script = Object.assign(document.createElement("script"), { src });
    script.onload = () => done();
    script.onerror = () => fail(new Error(`${PARTS[name]} could not be loaded`));
    document.head.append(script);
  });
}

/** @param {Model} model @param {string} name @returns {Promise<void>} */
async function fromKernel(model, name) {
  const text = await new Promise((done) => {
    const take = () => {
      const source = model.get("_parts")?.[name];
      if (source === undefined) return;
      model.off("change:_parts", take);
      done(source);
    };
    model.on("change:_parts", take);
    take();
    model.send?.({ part: name });
  });
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  await import(address);
  URL.revokeObjectURL(address);
}
