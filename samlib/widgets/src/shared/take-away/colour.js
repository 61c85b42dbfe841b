// A colour as every program knows it: without transparency, which stands beside it.

/**
 * @param {string} css as the browser writes a computed colour
 * @returns {{colour: string, opacity: number}}
 */
export function colourOf(css) {
  const numbers = (css.match(/-?[\d.]+(?:e-?\d+)?%?/g) ?? []).map((n) => (n.endsWith("%") ? parseFloat(n) / 100 : Number(n)));
  if (css.startsWith("rgb")) return { colour: hex(numbers), opacity: numbers[3] ?? 1 };
  // color(srgb 0.2 0.4 0.6 / 0.5), which is what color-mix() gives
  if (css.startsWith("color(srgb ")) return { colour: hex(numbers.map((v) => 255 * v)), opacity: numbers[3] ?? 1 };
  return { colour: css, opacity: css === "transparent" ? 0 : 1 };
}

/** @param {number[]} rgb from 0 to 255 */
const hex = (rgb) =>
  `#${rgb.slice(0, 3).map((v) => Math.min(Math.max(Math.round(v), 0), 255).toString(16).padStart(2, "0")).join("")}`;
