// The part of a widget's model that the figures use, and a stand-in for pages without a kernel.

/**
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: any) => void} set
 * @property {() => void} save_changes
 * @property {(content: any) => void} [send] a message to Python; a page without a kernel has none
 * @property {(event: string, callback: () => void) => void} on
 * @property {(event: string, callback: () => void) => void} off
 */

/**
 * @param {Record<string, any>} state
 * @returns {Model}
 */
export function staticModel(state) {
  const target = new EventTarget();
  const values = { ...state };
  return {
    get: (name) => values[name],
    set(name, value) {
      values[name] = value;
      target.dispatchEvent(new Event(`change:${name}`));
    },
    save_changes() {},
    on: (event, callback) => target.addEventListener(event, callback),
    off: (event, callback) => target.removeEventListener(event, callback),
  };
}
