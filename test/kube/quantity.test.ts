import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPositiveQuantity, parseQuantity } from '../../src/policy/kube/quantity.ts';

const giga = 1_000_000_000n;
const most = (2n ** 63n - 1n) * giga;

/** Text -> nano-units (null: refused), as ParseQuantity of k8s.io/apimachinery v0.37.2 answers, cut to an int64 of whole units. */
const golden: Record<string, string | null> = JSON.parse(
  readFileSync(new URL('./quantities.json', import.meta.url), 'utf8'),
);

const multipliers = new Map<string, readonly [bigint, bigint]>([
  ['n', [1n, giga]],
  ['u', [1n, 1_000_000n]],
  ['m', [1n, 1000n]],
  ['', [1n, 1n]],
  ['k', [1000n, 1n]],
  ['M', [1000n ** 2n, 1n]],
  ['G', [1000n ** 3n, 1n]],
  ['T', [1000n ** 4n, 1n]],
  ['P', [1000n ** 5n, 1n]],
  ['E', [1000n ** 6n, 1n]],
  ['Ki', [1024n, 1n]],
  ['Mi', [1024n ** 2n, 1n]],
  ['Gi', [1024n ** 3n, 1n]],
  ['Ti', [1024n ** 4n, 1n]],
  ['Pi', [1024n ** 5n, 1n]],
  ['Ei', [1024n ** 6n, 1n]],
]);

/** The oracle: a fraction of bigints, whatever its size, made whole nano-units at the end. */
function rational(sign: string, integer: string, fraction: string, suffix: string): bigint {
  let [up, down] = multipliers.get(suffix) ?? [1n, 1n];
  if (/^[eE][+-]?\d+$/.test(suffix)) {
    const exponent = BigInt(suffix.slice(1));
    [up, down] = exponent < 0n ? [1n, 10n ** -exponent] : [10n ** exponent, 1n];
  }
  const numerator = BigInt(integer + fraction) * up * giga;
  const denominator = 10n ** BigInt(fraction.length) * down;
  const awayFromZero = (numerator + denominator - 1n) / denominator;
  const cut = awayFromZero > most ? most : awayFromZero;
  return sign === '-' ? -cut : cut;
}

const digits = (min: number, max: number) =>
  fc
    .array(fc.constantFrom('0', '0', '0', '1', '4', '5', '9'), { minLength: min, maxLength: max })
    .map((list) => list.join(''));
const suffix = fc.oneof(
  fc.constantFrom(...multipliers.keys()),
  fc.tuple(fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), fc.nat(80)).map((parts) => parts.join('')),
);

describe('parseQuantity', () => {
  it('answers as Kubernetes does for every text of the golden table', () => {
    const entries = Object.entries(golden);
    expect(entries.length).toBeGreaterThan(300);
    expect(entries.filter(([, nano]) => nano === null).length).toBeGreaterThan(100);
    for (const [text, nano] of entries) {
      const value = nano === null ? undefined : BigInt(nano);
      expect([text, parseQuantity(text)]).toEqual([text, value]);
      expect([text, isPositiveQuantity(text)]).toEqual([text, value === undefined ? undefined : value > 0n]);
    }
  });

  it('is the exact fraction, rounded away from zero at a nano-unit and cut at an int64', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('', '', '-', '+'),
        digits(1, 24),
        fc.option(digits(0, 90), { nil: undefined }),
        suffix,
        (sign, integer, fraction, unit) => {
          const text = `${sign}${integer}${fraction === undefined ? '' : `.${fraction}`}${unit}`;
          const value = parseQuantity(text);
          expect(value).toBe(rational(sign, integer, fraction ?? '', unit));
          expect(isPositiveQuantity(text)).toBe(value !== undefined && value > 0n);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['0.5', 500_000_000n],
    ['500m', 500_000_000n],
    ['1Ki', 1024n * giga],
    ['1k', 1000n * giga],
    ['-1.5Gi', -1_610_612_736n * giga],
    ['1E', 10n ** 27n],
    ['1E2', 100n * giga],
    ['12e-1', 1_200_000_000n],
    ['0.1n', 1n],
    ['-0.1n', -1n],
    ['8Ei', most],
    ['-1e30', -most],
    ['1.', giga],
    ['.5', giga / 2n],
  ])('reads %s', (text, nano) => {
    expect(parseQuantity(text)).toBe(nano);
    const [, sign = '', integer = '', fraction = '', unit = ''] = /^([+-]?)(\d*)\.?(\d*)(.*)$/.exec(text) ?? [];
    expect(rational(sign, integer === '' ? '0' : integer, fraction, unit)).toBe(nano);
  });

  it.each([
    '',
    'None',
    '1.5.3',
    ' 1',
    '1 ',
    '1 Gi',
    '1Gi2',
    '1K',
    '1ki',
    '1e',
    '1e+',
    '1e+-1',
    '+-1',
    '1,5',
    '0x1',
    '1e99999999999999999999',
  ])('refuses "%s"', (text) => {
    expect(parseQuantity(text)).toBeUndefined();
    expect(isPositiveQuantity(text)).toBeUndefined();
  });

  it('reads a number without digits as zero, as Kubernetes does', () => {
    for (const text of ['+', '-', '.', 'Gi', 'k']) expect([text, parseQuantity(text)]).toEqual([text, 0n]);
    expect(parseQuantity('Ei')).toBeUndefined();
  });

  it('rounds exactly where a long fraction stands just above a nano-unit', () => {
    // A nano-unit over 2^60 is 5^60 / 10^69: 69 digits, and any digit behind them asks for the next nano-unit.
    const fraction = String(5n ** 60n).padStart(69, '0');
    expect(parseQuantity(`0.${fraction}Ei`)).toBe(1n);
    expect(parseQuantity(`0.${fraction}1Ei`)).toBe(2n);
    expect(parseQuantity(`0.${fraction}${'0'.repeat(100)}1Ei`)).toBe(2n);
  });

  it('cuts what no number could hold instead of computing it', () => {
    expect(parseQuantity('1e2147483647')).toBe(most);
    expect(parseQuantity('-1e2147483647')).toBe(-most);
    expect(parseQuantity('1e-2147483647')).toBe(1n);
    expect(parseQuantity('9'.repeat(1_000_000))).toBe(most);
    expect(parseQuantity(`0.${'0'.repeat(1_000_000)}1Ei`)).toBe(1n);
    expect(parseQuantity(`0e${'0'.repeat(1000)}9`)).toBe(0n);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'+-.019eEinumkKMGTP ') })), (text) => {
        expect(parseQuantity(text) === undefined).toBe(isPositiveQuantity(text) === undefined);
      }),
    );
  });
});
