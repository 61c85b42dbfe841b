// A figure's state in the fragment of the page's address: #alignment:rho=0.05&start=0.5,0.5,0.1,0.2

/** @typedef {Record<string, number | readonly (number | string)[] | string | boolean>} LinkState */

/** So many characters of a link's text a message quotes. */
const QUOTED = 24;

/** How the fragments of a figure begin; the browser escapes letters beyond ASCII, too. @param {string} id */
const prefixOf = (id) => `#${encodeURIComponent(id)}:`;

/** What a message quotes: a long text would push the figure away. @param {string} text */
export const quoted = (text) => (text.length <= QUOTED ? text : `${text.slice(0, QUOTED)}…`);

/**
 * @param {string} id @param {LinkState} state
 * @returns {string} the fragment, with its #
 */
export function encode(id, state) {
  const parts = Object.entries(state).map(([name, value]) => {
    const text = Array.isArray(value) ? value.join(",") : String(value);
    return `${name}=${encodeURIComponent(text).replaceAll("%2C", ",")}`;
  });
  return prefixOf(id) + parts.join("&");
}

/**
 * The entries addressed to this figure; null where the fragment is for something else.
 *
 * @param {string} id @param {string} fragment
 * @returns {Map<string, string> | null}
 */
export function decode(id, fragment) {
  const prefix = prefixOf(id);
  if (!fragment.startsWith(prefix)) return null;
  return new Map(new URLSearchParams(fragment.slice(prefix.length)));
}

/**
 * A number of a link: clamped into its range, or refused, with a message in either case.
 *
 * @param {string} label @param {string} text @param {readonly [number, number]} range
 * @param {string[]} messages
 * @returns {number | undefined}
 */
export function readNumber(label, text, [low, high], messages) {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isNaN(value)) {
    messages.push(`${label} = “${quoted(text)}” is not a number and was ignored`);
    return undefined;
  }
  const clamped = Math.min(Math.max(value, low), high) + 0; // −0 becomes 0
  if (clamped !== value) messages.push(`${label} = ${quoted(text)} was moved to ${clamped}`);
  return clamped;
}

/**
 * Numbers separated by commas, `length` of them (any length of a range).
 *
 * @param {string} label @param {string} text @param {readonly [number, number]} range
 * @param {readonly [number, number]} length @param {string[]} messages
 * @returns {number[] | undefined}
 */
export function readNumbers(label, text, range, length, messages) {
  const parts = text.split(",");
  if (parts.length < length[0] || parts.length > length[1]) {
    const wanted = length[0] === length[1] ? `${length[0]}` : `${length[0]} to ${length[1]}`;
    const given = `${parts.length} number${parts.length === 1 ? "" : "s"}`;
    messages.push(`${label} has ${given}, not ${wanted}, and was ignored`);
    return undefined;
  }
  const values = parts.map((part) => readNumber(label, part, range, messages));
  return values.some((v) => v === undefined) ? undefined : /** @type {number[]} */ (values);
}

/**
 * Links for a figure whose traits are all numbers, lists of a fixed length, words or switches: every trait
 * by its name, put right by the limits that Python sends in the configuration.
 *
 * @template {Record<string, any>} S
 * @param {{initial: S, config: any, whole: string[], preset: (choice: string) => S}} frame
 * A figure whose presets are no trait's takes preset=NAME: its values, and those that the link has beside it.
 *
 * @param {{labels?: Record<string, string>, presetBy?: string}} [options]
 *   what messages call a trait, and which one picks the defaults of others
 */
export function linksOf({ initial, config, whole, preset }, { labels = {}, presetBy } = {}) {
  const names = Object.keys(initial).filter((name) => name !== "panels"); // the frame's business
  return {
    /** @param {S} state @returns {LinkState} */
    writeLink: (state) => ({ ...state }),
    /** @param {Map<string, string>} given @param {string[]} messages @returns {S} */
    readLink(given, messages) {
      const entries = presetBy ? given : withPreset(given, config.presets, messages);
      const choice = presetBy ? entries.get(presetBy) : undefined;
      const known = presetBy && choice !== undefined && config.limits[presetBy].includes(choice);
      /** @type {Record<string, any>} */
      const next = known ? preset(choice) : { ...initial };
      for (const name of names) {
        const text = entries.get(name);
        if (text === undefined) continue;
        const value = readTrait(labels[name] ?? name, text, next[name], config.limits[name], messages);
        next[name] = whole.includes(name) ? Math.round(value) : value;
      }
      if (next.frame > next.steps) {
        if (entries.has("frame")) messages.push(`${labels.frame} = ${next.frame} was moved to ${next.steps}`);
        next.frame = next.steps;
      }
      return /** @type {S} */ (next);
    },
  };
}

/**
 * The entries of a link, with those of the preset that it names.
 *
 * @param {Map<string, string>} entries @param {Record<string, object>} presets @param {string[]} messages
 */
function withPreset(entries, presets, messages) {
  const name = entries.get("preset");
  if (name === undefined) return entries;
  if (Object.hasOwn(presets, name)) {
    return new Map([...Object.entries(presets[name]).map(([trait, value]) => /** @type {const} */ ([trait, String(value)])), ...entries]); // prettier-ignore
  }
  messages.push(`preset = “${quoted(name)}” is unknown and was ignored`);
  return entries;
}

/**
 * The value of a trait in a link; the one before where the link has none that can be.
 *
 * @param {string} label @param {string} text @param {any} before @param {any} limits @param {string[]} messages
 */
function readTrait(label, text, before, limits, messages) {
  if (typeof before === "boolean") return text === "true";
  if (Array.isArray(before)) {
    return readNumbers(label, text, limits, [before.length, before.length], messages) ?? before;
  }
  if (typeof before !== "string") return readNumber(label, text, limits, messages) ?? before;
  if (limits.includes(text)) return text;
  messages.push(`${label} = “${quoted(text)}” is unknown and was ignored`);
  return before;
}
