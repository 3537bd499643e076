/** Integers as Kubernetes reads them in label and taint values: strconv.ParseInt(text, 10, 64), no blanks, no separators. */

export const maxInt64 = 2n ** 63n - 1n;
export const minInt64 = -(2n ** 63n);

const integer = /^[+-]?[0-9]+$/;
const canonical = /^(?:0|-?[1-9][0-9]*)$/;

/** 2^63 has 19 digits; anything longer, leading zeros aside, is out of range and never becomes a bigint. */
const maxDigits = 19;

/** A signed 64-bit integer in decimal, leading zeros and a plus sign allowed; undefined for anything else. */
export function parseInt64(text: string): bigint | undefined {
  if (!integer.test(text)) return undefined;
  const negative = text.charCodeAt(0) === 45;
  let start = negative || text.charCodeAt(0) === 43 ? 1 : 0;
  while (start < text.length - 1 && text.charCodeAt(start) === 48) start += 1;
  if (text.length - start > maxDigits) return undefined;
  const magnitude = BigInt(text.slice(start));
  const value = negative ? -magnitude : magnitude;
  return value > maxInt64 || value < minInt64 ? undefined : value;
}

/**
 * As parseInt64, but only in the form a person would write: no leading zeros, no plus sign, no `-0`.
 * Source: IsDecimalInteger of k8s.io/apimachinery/pkg/api/validate/content, which guards the toleration operators Lt and Gt.
 */
export function parseCanonicalInt64(text: string): bigint | undefined {
  return canonical.test(text) ? parseInt64(text) : undefined;
}
