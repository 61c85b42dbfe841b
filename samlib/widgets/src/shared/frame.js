// The frame that every figure shares: state, permalinks, drawing once per animation frame, the sentence,
// reset, theme, keys, and taking it all down. What a figure shows is its own business.

import { createAddress } from "./address.js";
import { button } from "./buttons.js";
import { html } from "./dom.js";
import { captureKeys } from "./keyboard.js";
import { SETTINGS, createPanels, readPanels } from "./panels.js";
import { createReadout } from "./readout.js";
import { createTakeAway } from "./take-away/take-away.js";
import { traitsOf } from "../schema.js";
import { onThemeChange, palette } from "./theme.js";

/** @typedef {import("./model.js").Model} Model */

/**
 * @template S the figure's synchronized traits
 * @typedef {object} Options
 * @property {(keyof S & string)[]} [redrawOnly] those whose change needs no new computation; which panels are open
 *   is one of them, unless `panelsMatter`
 * @property {boolean} [panelsMatter] is something computed for a panel only while it is open?
 * @property {keyof S & string} [presetBy] the trait whose value picks defaults for others
 * @property {(state: S) => boolean} [complete] do the traits fit together? Python may send one of two that
 *   belong together a moment before the other
 */

/**
 * @template S
 * @typedef {object} Content what a figure shows
 * @property {string} className of the root
 * @property {HTMLElement | null} choices a switch at the top, if there is one
 * @property {string} hint one line that says what can be done
 * @property {HTMLElement} legend
 * @property {HTMLElement[]} stage the picture, or all plots
 * @property {{el: HTMLElement, pause: () => void, dispose: () => void}} [player]
 * @property {HTMLElement} [main] the one control that stands beside the player
 * @property {import("./panels.js").Panel[]} [panels] what stands under "More"; the controls are then one more of it
 * @property {HTMLElement | null} controls
 * @property {{group: Element, key: (event: KeyboardEvent) => boolean}[]} handles
 * @property {() => void} compute everything that depends on the state
 * @property {() => void} draw pictures and controls
 * @property {() => string} describe one sentence that says what is shown
 * @property {(state: S) => import("./permalink.js").LinkState} writeLink
 * @property {(entries: Map<string, string>, messages: string[]) => S} readLink
 * @property {() => import("./take-away/table.js").Table} [table] the numbers behind the pictures
 * @property {import("./take-away/take-away.js").Offers["python"]} [python] lines of Python that compute the same table
 * @property {() => void} dispose
 */

/**
 * @template {Record<string, any>} S
 * @typedef {ReturnType<typeof createFrame<S>>} Frame
 */

/**
 * @template {Record<string, any>} S
 * @param {{model: Model, el: HTMLElement, linkId?: string, alias?: string}} context
 *   `linkId` is the figure's name in permalinks; without it (in a notebook) there are none; `alias` is another one
 * @param {Options<S>} [options]
 */
export function createFrame(
  { model, el, linkId, alias }, { redrawOnly = [], panelsMatter = false, presetBy, complete } = {},
) { // prettier-ignore
  const { names, whole } = traitsOf(model.get("_figure"));
  const read = () => /** @type {S} */ (Object.fromEntries(names.map((n) => [n, model.get(n)])));
  const initial = read();
  const config = model.get("_config");
  let stale = true;
  let pending = 0;
  let saved = 0;
  /** @type {Content<S>} */
  let content;
  /** @type {ReturnType<typeof createPanels> | null} */
  let panels = null;

  const readout = createReadout();
  const note = html("p", { class: "samlib-note", role: "status" });
  const reset = button({ label: "Reset", text: "Reset", onPress: () => frame.restore(initial) });
  reset.dataset.control = "reset";
  const root = html("div", { class: "samlib-body" });
  const address = createAddress(linkId, alias, root, note, {
    write: () => ({ ...content.writeLink(frame.state), ...(config.limits.panels && { panels: frame.state.panels }) }),
    follow(entries, messages) {
      const { panels: names } = config.limits;
      frame.restore(content.readLink(entries, messages));
      const text = entries.get("panels");
      const more = config.presets[entries.get("preset") ?? ""]?.panels ?? [];
      if (!names) return;
      frame.open(text === undefined ? [...frame.state.panels, ...more] : readPanels(text, names, messages));
    },
  });

  const frame = {
    /** @type {S} changed by update() only */
    state: { ...initial },
    initial,
    config,
    /** Which traits are whole numbers. */
    whole,
    root,
    colours: palette(el),
    /** While something is being dragged, scales stand still. */
    dragging: false,
    /** Draw in the next animation frame. */
    redraw: () => schedule(false),
    /** Stop a film. */
    pause: () => content?.player?.pause(),

    /**
     * Change some of the state, here and in the model.
     *
     * @param {Partial<S>} changes @param {boolean} [settled] false while a film runs
     */
    update(changes, settled = true) {
      const all = withFrame(frame.state, changes);
      apply(all);
      for (const [name, value] of Object.entries(all)) model.set(name, value);
      const now = performance.now();
      if (settled || now - saved > 250) {
        saved = now;
        model.save_changes();
      }
    },

    /** Take a state, but for the panels: what is open stays open. @param {S} state */
    restore(state) {
      frame.pause();
      note.textContent = "";
      const { panels: _, ...others } = state;
      frame.update(/** @type {Partial<S>} */ (others));
    },

    /** Show these panels, and no others. @param {string[]} names */
    open(names) {
      const panels = config.limits.panels.filter((/** @type {string} */ name) => names.includes(name));
      frame.update(/** @type {Partial<S>} */ (/** @type {unknown} */ ({ panels })));
    },

    /** The opening state, or the defaults that go with a choice. @param {string} choice @returns {S} */
    preset(choice) {
      if (!presetBy || choice === initial[presetBy]) return { ...initial };
      return { ...initial, ...config.presets[choice], [presetBy]: choice };
    },

    /** Show the content. @param {Content<S>} what @returns {() => void} takes the figure down */
    mount(what) {
      content = what;
      root.classList.add(what.className);
      if (what.panels) {
        const settings = what.controls ? [{ name: SETTINGS, title: "Settings", parts: [what.controls] }] : [];
        panels = createPanels([...what.panels, ...settings], frame.open);
      }
      const { state } = frame;
      const context = { figure: model.get("_figure"), el, root, note, linkId, config, state, copyLink: address.copy };
      const takeAway = createTakeAway(context, what);
      root.append(...partsOf(what, [reset, takeAway.el], readout.parts, note, panels));
      el.replaceChildren(root);
      const stopListening = listen(what);
      schedule(true);
      return () => {
        takeAway.dispose();
        what.player?.dispose();
        cancelAnimationFrame(pending);
        readout.dispose();
        stopListening();
        what.dispose();
      };
    },
  };

  /** Follow the model, the keys, the theme and the address. @param {Content<S>} what @returns {() => void} stops it */
  function listen(what) {
    const onModelChange = () => apply(read());
    for (const name of names) model.on(`change:${name}`, onModelChange);
    const stopKeys = captureKeys(root, (event) => {
      const target = what.handles.find(({ group }) => group === event.target);
      return target ? target.key(event) : false;
    });
    const stopTheme = onThemeChange(() => {
      frame.colours = palette(el);
      schedule(false);
    });
    const stopAddress = address.listen();
    return () => {
      stopKeys();
      stopTheme();
      stopAddress();
      for (const name of names) model.off(`change:${name}`, onModelChange);
    };
  }

  /** @param {Partial<S>} changes */
  function apply(changes) {
    const { state } = frame;
    const different = Object.keys(changes).filter(
      (name) => JSON.stringify(state[name]) !== JSON.stringify(changes[name]),
    );
    if (different.length === 0) return;
    Object.assign(state, changes);
    if ("steps" in state && "frame" in state) Object.assign(state, { frame: Math.min(state.frame, state.steps) });
    if (complete && !complete(state)) return;
    schedule(different.some((name) => !redrawOnly.includes(name) && (panelsMatter || name !== "panels")));
  }

  /** Draw, once per animation frame. @param {boolean} computed must everything be computed again? */
  function schedule(computed) {
    stale ||= computed;
    pending ||= requestAnimationFrame(draw);
  }

  function draw() {
    pending = 0;
    performance.mark("samlib:begin");
    if (stale) content.compute();
    stale = false;
    // A notebook renders into an element that is not in the document yet and has no style.
    if (!frame.colours.ink) frame.colours = palette(el);
    panels?.show(frame.state.panels);
    content.draw();
    readout.say(content.describe());
    // For benchmarks/widgets.py; only the last one is kept.
    performance.clearMeasures("samlib:draw");
    performance.measure("samlib:draw", "samlib:begin");
    performance.clearMarks("samlib:begin");
  }

  return frame;
}

/**
 * In a figure over time the step shown stays inside the run; where it is the last one, it stays the last.
 *
 * @template {Record<string, any>} S
 * @param {S} state @param {Partial<S>} changes
 * @returns {Partial<S>}
 */
function withFrame(state, changes) {
  if (!("steps" in changes) || !("frame" in state)) return changes;
  const { steps, frame: shown } = state;
  const last = /** @type {number} */ (changes.steps);
  const wanted = changes.frame ?? (shown === steps ? last : shown);
  return { ...changes, frame: Math.min(wanted, last) };
}

/**
 * What stands in a figure, from top to bottom. What is seen at first is in an element of its own: its height is
 * known before it is there.
 *
 * @param {Content<any>} what @param {HTMLElement[]} actions @param {HTMLElement[]} sentence @param {HTMLElement} note
 * @param {ReturnType<typeof createPanels> | null} panels
 */
function partsOf(what, actions, sentence, note, panels) {
  const hint = html("p", { class: "samlib-hint" }, what.hint);
  const moves = what.player && !what.player.el.parentElement ? [what.player.el] : []; // or it stands in a panel
  const first = [
    html("div", { class: "samlib-top" }, what.choices ?? hint,
      html("div", { class: "samlib-actions" }, ...actions)),
    html("div", { class: "samlib-said" }, ...(what.choices ? [hint] : []), what.legend),
    html("div", { class: "samlib-stage" }, ...what.stage),
    html("div", { class: "samlib-moves" }, ...moves, ...(what.main ? [what.main] : [])),
    ...sentence,
  ]; // prettier-ignore
  if (!panels) return [...first, ...(what.controls ? [what.controls] : []), note];
  return [html("div", { class: "samlib-face" }, ...first, panels.row), panels.el, note];
}
