import { maxInt64, parseInt64 } from './integer.ts';

/**
 * Resource quantities. Source: kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity and ParseQuantity of
 * k8s.io/apimachinery/pkg/api/resource (quantity.go, suffix.go), v0.37, whose corners this follows: a number without any digit
 * ("+", ".", "Gi") is zero, and an exponent is cut to 32 bits. Work and memory stay bounded whatever the exponent says.
 */

interface Scanned {
  readonly negative: boolean;
  /** Digits before the point, without leading zeros. */
  readonly integer: string;
  /** Digits after the point, as written. */
  readonly fraction: string;
  readonly scale: Scale;
}

/** The number is multiplied by base^exponent. */
interface Scale {
  readonly base: 2 | 10;
  readonly exponent: number;
}

const suffixes: ReadonlyMap<string, Scale> = new Map<string, Scale>([
  ['', { base: 10, exponent: 0 }],
  ['n', { base: 10, exponent: -9 }],
  ['u', { base: 10, exponent: -6 }],
  ['m', { base: 10, exponent: -3 }],
  ['k', { base: 10, exponent: 3 }],
  ['M', { base: 10, exponent: 6 }],
  ['G', { base: 10, exponent: 9 }],
  ['T', { base: 10, exponent: 12 }],
  ['P', { base: 10, exponent: 15 }],
  ['E', { base: 10, exponent: 18 }],
  ['Ki', { base: 2, exponent: 10 }],
  ['Mi', { base: 2, exponent: 20 }],
  ['Gi', { base: 2, exponent: 30 }],
  ['Ti', { base: 2, exponent: 40 }],
  ['Pi', { base: 2, exponent: 50 }],
  ['Ei', { base: 2, exponent: 60 }],
]);

/** Nano-units: the smallest part that Kubernetes keeps. */
const nanoDigits = 9;

/** Kubernetes holds quantities to an int64 of whole units; binary suffixes are cut there on parsing, decimal ones on use. */
const maxNano = maxInt64 * 1_000_000_000n;

/** A number with more digits before the point is above 2^63. */
const maxIntegerDigits = 19;

/**
 * Fraction digits that can matter with a binary suffix. The result times 10^9 is x * 2^k * 10^9 with k <= 60; with 69 digits of x
 * that product is a whole multiple of a step which divides 1, and what is cut off is less than a step: it can only round up.
 */
const maxBinaryFraction = 69;

/**
 * The exact value in nano-units (1e-9), with less than one rounded away from zero, and cut to what an int64 of whole units holds.
 * Undefined for what ParseQuantity refuses: "None", "", "1.5.3", " 1", "1 Gi", "1Gi2", "1K". It accepts "+1", "1.", ".5", "-1", "1e3".
 */
export function parseQuantity(text: string): bigint | undefined {
  const scanned = scan(text);
  if (scanned === undefined) return undefined;
  const { integer, fraction, scale, negative } = scanned;
  if (integer === '' && isZeros(fraction, 0)) return 0n;
  const exact =
    scale.base === 10 ? decimal(integer, fraction, scale.exponent) : binary(integer, fraction, scale.exponent);
  const nano = exact > maxNano ? maxNano : exact;
  return negative ? -nano : nano;
}

/** True if the quantity is above zero; undefined for what parseQuantity refuses. Computes no value: rounding never reaches zero. */
export function isPositiveQuantity(text: string): boolean | undefined {
  let positive = false;
  let at = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 48 || code > 57) break;
    if (code !== 48) positive = true;
  }
  if (at === text.length && at > 0) return positive;
  const scanned = scan(text);
  if (scanned === undefined) return undefined;
  return !scanned.negative && (scanned.integer !== '' || !isZeros(scanned.fraction, 0));
}

function scan(text: string): Scanned | undefined {
  if (text === '') return undefined;
  const sign = text.charCodeAt(0);
  const start = sign === 43 || sign === 45 ? 1 : 0;
  let first = start;
  while (text.charCodeAt(first) === 48) first += 1;
  let end = skipDigits(text, first);
  const integer = text.slice(first, end);
  let digits = end - start;
  let fraction = '';
  if (text.charCodeAt(end) === 46) {
    const point = end;
    end = skipDigits(text, point + 1);
    fraction = text.slice(point + 1, end);
    digits += fraction.length;
  }
  const scale = readSuffix(text.slice(end));
  if (scale === undefined) return undefined;
  if (digits === 0 && !readsAsZero(scale)) return undefined;
  return { negative: sign === 45, integer, fraction, scale };
}

function readSuffix(suffix: string): Scale | undefined {
  const known = suffixes.get(suffix);
  if (known !== undefined) return known;
  const letter = suffix.charCodeAt(0);
  if (letter !== 69 && letter !== 101) return undefined;
  const exponent = parseInt64(suffix.slice(1));
  return exponent === undefined ? undefined : { base: 10, exponent: Number(BigInt.asIntN(32, exponent)) };
}

/** Without digits, ParseQuantity's quick path reads zero; the scales that leave it (sub-nano, Pi, Ei) are refused. */
function readsAsZero({ base, exponent }: Scale): boolean {
  return base === 10 ? exponent >= -nanoDigits : exponent < 50;
}

function skipDigits(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 48 || code > 57) break;
  }
  return at;
}

/** Nano-units of integer.fraction * 10^exponent, not all digits zero. */
function decimal(integer: string, fraction: string, exponent: number): bigint {
  let digits = integer + fraction;
  if (integer === '') {
    let zeros = 0;
    while (digits.charCodeAt(zeros) === 48) zeros += 1;
    digits = digits.slice(zeros);
  }
  const shift = exponent - fraction.length + nanoDigits;
  const wholeDigits = digits.length + shift;
  if (wholeDigits > maxIntegerDigits + nanoDigits) return maxNano;
  if (wholeDigits <= 0) return 1n;
  if (shift >= 0) return BigInt(digits) * 10n ** BigInt(shift);
  return BigInt(digits.slice(0, wholeDigits)) + (isZeros(digits, wholeDigits) ? 0n : 1n);
}

/** Nano-units of integer.fraction * 2^exponent, not all digits zero. */
function binary(integer: string, fraction: string, exponent: number): bigint {
  if (integer.length > maxIntegerDigits) return maxNano;
  const kept = fraction.slice(0, maxBinaryFraction);
  const numerator = (BigInt(integer + kept) << BigInt(exponent)) * 10n ** BigInt(nanoDigits);
  const denominator = 10n ** BigInt(kept.length);
  const whole = numerator / denominator;
  return numerator % denominator === 0n && isZeros(fraction, kept.length) ? whole : whole + 1n;
}

function isZeros(digits: string, from: number): boolean {
  for (let at = from; at < digits.length; at += 1) {
    if (digits.charCodeAt(at) !== 48) return false;
  }
  return true;
}
