// A figure's state in the fragment of the page's address: #alignment:rho=0.05&start=0.5,0.5,0.1,0.2

/** @typedef {Record<string, number | number[] | string | boolean>} LinkState */

/**
 * @param {string} id @param {LinkState} state
 * @returns {string} the fragment, with its #
 */
export function encode(id, state) {
  const parts = Object.entries(state).map(([name, value]) => {
    const text = Array.isArray(value) ? value.join(",") : String(value);
    return `${name}=${encodeURIComponent(text).replaceAll("%2C", ",")}`;
  });
  return `#${id}:${parts.join("&")}`;
}

/**
 * The entries addressed to this figure; null where the fragment is for something else.
 *
 * @param {string} id @param {string} fragment
 * @returns {Map<string, string> | null}
 */
export function decode(id, fragment) {
  const prefix = `#${id}:`;
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
    messages.push(`${label} = “${text}” is not a number and was ignored`);
    return undefined;
  }
  const clamped = Math.min(Math.max(value, low), high);
  if (clamped !== value) messages.push(`${label} = ${text} was moved to ${clamped}`);
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
