// Numbers as a reader writes them.

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** @param {number} exponent */
const power = (exponent) =>
  (exponent < 0 ? "⁻" : "") + [...String(Math.abs(exponent))].map((d) => SUPERSCRIPT[+d]).join("");

/**
 * Three (or so many) significant digits: 0.0327, 16, −1.5, 2.3·10⁻⁷.
 *
 * @param {number} value @param {number} [digits]
 */
export function number(value, digits = 3) {
  if (Number.isNaN(value)) return "undefined";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  if (value === 0) return "0";
  const sign = value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e5) return sign + plain(Number(size.toPrecision(digits)));
  const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
  return `${sign}${Number(mantissa)}·10${power(Number(exponent))}`;
}

/** @param {number} value 6000 → "6,000", as Python's sentences have it */
export const count = (value) => plain(value, 4);

/** @param {number} value a number without exponent @param {number} from so many digits on thousands are separated */
function plain(value, from = 5) {
  const [whole, fraction] = String(value).split(".");
  const grouped = whole.length >= from ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
  return fraction ? `${grouped}.${fraction}` : grouped;
}

/** @param {number} value a tick of a logarithmic axis: 0.01, 1, 100, 10⁻⁵ */
export function decade(value) {
  const exponent = Math.round(Math.log10(value));
  return exponent >= -3 && exponent <= 4 ? String(Number(value.toPrecision(3))) : `10${power(exponent)}`;
}

/** @param {number} value what a number field shows; parses back */
export const field = (value) => String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));

/** @param {number} n 1 → "₁" */
export const subscript = (n) => [...String(n)].map((d) => "₀₁₂₃₄₅₆₇₈₉"[+d]).join("");

/** The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is ≥ value. @param {number} value */
export function niceCeil(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8]) if (step * power >= value * (1 - 1e-9)) return step * power;
  return 10 * power;
}

/** @param {number} t a tick of an axis of steps: 500, 2k */
export const shortCount = (t) => (t >= 1000 ? `${t / 1000}k` : String(t));
