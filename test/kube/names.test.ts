import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDns1123Label, isDns1123Subdomain, isLabelValue, isQualifiedName } from '../../src/policy/kube/names.ts';
import { naiveIsDnsLabel, naiveIsLabelKey, naiveIsLabelValue, naiveIsSubdomain } from './naive.ts';

const text = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'aZ0-_./'), maxLength: 8 }),
  fc.string({ unit: fc.constantFrom(...'aZ0-_./é\n '), maxLength: 5 }),
  fc
    .tuple(fc.constantFrom('', '/', 'a/', 'a.b/', 'A/', '-/'), fc.constantFrom(62, 63, 64, 252, 253, 254))
    .map(([prefix, length]) => prefix + 'a'.repeat(length)),
  fc.constantFrom(62, 63, 64, 251, 252, 253, 254).map((length) => `${'a'.repeat(length)}/x`),
  fc.constantFrom(62, 63, 64, 127).map((length) => `${'a'.repeat(length)}.${'b'.repeat(length)}`),
);

const pairs = [
  [
    'isDns1123Label',
    isDns1123Label,
    naiveIsDnsLabel,
    ['a', '0', 'a-b', 'a'.repeat(63)],
    ['', 'A', 'a.b', '-a', 'a-', 'a_b', 'a\n', 'a'.repeat(64)],
  ],
  [
    'isDns1123Subdomain',
    isDns1123Subdomain,
    naiveIsSubdomain,
    ['a', 'a.b-c.0', 'a'.repeat(253)],
    ['', '.', 'a.', '.a', 'a..b', 'a.-b', 'A.b', 'a_b', 'a'.repeat(254)],
  ],
  [
    'isQualifiedName',
    isQualifiedName,
    naiveIsLabelKey,
    ['a', 'A_b.c-0', 'nvidia.com/gpu', `${'a'.repeat(253)}/${'b'.repeat(63)}`],
    ['', '/', 'a/', '/a', 'a/b/c', 'A/b', '-a', 'a-', 'a b', 'é', 'a'.repeat(64)],
  ],
  [
    'isLabelValue',
    isLabelValue,
    naiveIsLabelValue,
    ['', 'a', 'A_b.c-0', '007', 'a'.repeat(63)],
    ['-1', '+1', '.', 'a.', 'a b', 'a/b', 'a\n', 'é', 'a'.repeat(64)],
  ],
] as const;

describe.each(pairs)('%s', (_, actual, oracle, good, bad) => {
  it('agrees with the rule as the documentation words it', () => {
    fc.assert(
      fc.property(text, (name) => {
        expect([name, actual(name)]).toEqual([name, oracle(name)]);
      }),
      { numRuns: 2000 },
    );
  });

  it.each(good)('accepts "%s"', (name) => {
    expect([actual(name), oracle(name)]).toEqual([true, true]);
  });

  it.each(bad)('refuses %j', (name) => {
    expect([actual(name), oracle(name)]).toEqual([false, false]);
  });
});
