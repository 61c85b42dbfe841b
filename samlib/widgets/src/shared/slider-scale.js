// Where the values of a slider stand on it, and how far a key moves it.

const POSITIONS = 1000;

/** An arrow key moves a real number by so many positions, Page Up and Page Down any number. */
const SMALL = 10;
const LARGE = 100;

/** @type {Record<string, number>} */
const DIRECTIONS = {
  ArrowRight: SMALL, ArrowUp: SMALL, ArrowLeft: -SMALL, ArrowDown: -SMALL, PageUp: LARGE, PageDown: -LARGE,
}; // prettier-ignore

/**
 * The scale of a slider, logarithmic or linear.
 *
 * @param {{range: readonly [number, number], integer: boolean, linear: boolean}} options
 */
export function createScale({ range: [low, high], integer, linear }) {
  const round = (/** @type {number} */ v) => (integer ? Math.round(v) : Number(v.toPrecision(3)));
  const value = (/** @type {number} */ position) => {
    const part = position / POSITIONS;
    return round(linear ? low + (high - low) * part : low * (high / low) ** part);
  };
  /** Not rounded, from 0 to all positions. @param {number} v */
  const place = (v) => {
    const inside = Math.min(Math.max(v, low), high);
    return POSITIONS * (linear ? (inside - low) / (high - low) : Math.log(inside / low) / Math.log(high / low));
  };
  return {
    positions: POSITIONS,
    value,
    /** @param {number} v */
    position: (v) => Math.round(place(v)),

    /**
     * The value after a key was pressed; undefined if the key is none of a slider's. An arrow moves a whole
     * number to the next, any other by a hundredth of the slider; Page Up and Page Down move ten times as far.
     *
     * @param {number} now @param {string} key @returns {number | undefined}
     */
    after(now, key) {
      if (key === "Home") return value(0);
      if (key === "End") return value(POSITIONS);
      const move = DIRECTIONS[key];
      if (!move) return undefined;
      const moved = value(Math.min(Math.max(place(now) + move, 0), POSITIONS));
      if (!integer) return moved;
      const next = Math.min(Math.max(now, low), high) + Math.sign(move);
      if (Math.abs(move) === SMALL) return Math.min(Math.max(next, low), high);
      return move > 0 ? Math.min(Math.max(moved, next), high) : Math.max(Math.min(moved, next), low);
    },
  };
}
