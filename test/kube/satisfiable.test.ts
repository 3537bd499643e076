import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Requirement } from '../../src/policy/kube/node-selector.ts';
import { satisfiable } from '../../src/policy/kube/satisfiable.ts';
import { naiveHolds, naiveParses } from './naive.ts';

const maxInt64 = 2n ** 63n - 1n;
const is = (key: string, operator: string, ...values: readonly string[]): Requirement => ({ key, operator, values });

/** Every way to write an integer as a label value: with leading zeros, up to 63 characters. */
const spellings = (integer: bigint | number): string[] => {
  const digits = String(integer);
  return Array.from({ length: 64 - digits.length }, (_, zeros) => '0'.repeat(zeros) + digits);
};

/** Brute force: some assignment of a value, or of none, to each key meets every requirement. */
function someNodeMeets(
  requirements: readonly Requirement[],
  values: readonly string[],
  keys: readonly string[],
): boolean {
  let nodes: ReadonlyMap<string, string>[] = [new Map()];
  for (const key of keys)
    nodes = nodes.flatMap((node) => [node, ...values.map((value) => new Map([...node, [key, value]]))]);
  return (
    requirements.every(naiveParses) &&
    nodes.some((labels) => requirements.every((requirement) => naiveHolds(requirement, labels)))
  );
}

const words = ['', 'a', 'b', 'c'];

/** What brute force tries for three keys: all the words that requirements name, and one that none does. */
const wordUniverse = [...words, 'fresh'];
const wordKeys = ['x', 'y', 'constructor'];
const wordRequirement: fc.Arbitrary<Requirement> = fc
  .tuple(
    fc.constantFrom(...wordKeys),
    fc.constantFrom('In', 'In', 'NotIn', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Bogus'),
    fc.array(fc.constantFrom(...words, ...words, ...words, 'bad value'), { maxLength: 3 }),
    fc.integer({ min: 0, max: 9 }),
  )
  .map(([key, operator, values, oddity]) => {
    const none = (operator === 'Exists' || operator === 'DoesNotExist') && oddity > 0;
    return { key, operator, values: none ? [] : values };
  });

/** What brute force tries for one key with integers: limits below stay inside these, so that an integer which none names is there. */
const integers = [
  ...Array.from({ length: 8 }, (_, integer) => BigInt(integer)),
  ...[3n, 2n, 1n, 0n].map((below) => maxInt64 - below),
];
const integerUniverse = [...integers.flatMap(spellings), '', 'a', 'fresh', String(maxInt64 + 1n)];
const limit = fc.constantFrom(
  '0',
  '1',
  '2',
  '003',
  '4',
  '5',
  '6',
  String(maxInt64 - 2n),
  String(maxInt64 - 1n),
  String(maxInt64),
  String(maxInt64 + 1n),
  '-1',
  '+1',
  'a',
);
const someSpellings = fc
  .tuple(fc.array(fc.constantFrom(...integers), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([chosen, allButOne]) => (allButOne ? chosen.flatMap(spellings).slice(1) : chosen.flatMap(spellings)));
const integerRequirement: fc.Arbitrary<Requirement> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom('Gt', 'Lt'), limit).map(([operator, value]) => is('x', operator, value)),
  },
  { weight: 3, arbitrary: someSpellings.map((values) => is('x', 'NotIn', ...values)) },
  {
    weight: 1,
    arbitrary: fc.subarray(['1', '2', '02', '5', 'a', ''], { minLength: 1 }).map((values) => is('x', 'In', ...values)),
  },
  { weight: 1, arbitrary: fc.constantFrom(is('x', 'Exists'), is('x', 'DoesNotExist'), is('x', 'NotIn', 'a')) },
);

describe('satisfiable', () => {
  it('agrees with trying every node of a small universe of labels', () => {
    const answers = { yes: 0, no: 0 };
    fc.assert(
      fc.property(fc.array(wordRequirement, { maxLength: 6 }), (requirements) => {
        const expected = someNodeMeets(requirements, wordUniverse, wordKeys);
        answers[expected ? 'yes' : 'no'] += 1;
        expect(satisfiable(requirements)).toBe(expected);
      }),
      { numRuns: 3000, seed: 11 },
    );
    expect(Math.min(answers.yes, answers.no)).toBeGreaterThan(300);
  });

  it('agrees with trying every spelling of every integer that Gt and Lt could leave', () => {
    const answers = { yes: 0, no: 0 };
    fc.assert(
      fc.property(fc.array(integerRequirement, { minLength: 1, maxLength: 6 }), (requirements) => {
        const expected = someNodeMeets(requirements, integerUniverse, ['x']);
        answers[expected ? 'yes' : 'no'] += 1;
        expect(satisfiable(requirements)).toBe(expected);
      }),
      { numRuns: 500, seed: 12 },
    );
    expect(Math.min(answers.yes, answers.no)).toBeGreaterThan(50);
  });

  it('answers the same in whatever order, and for many requirements as for few', () => {
    fc.assert(
      fc.property(fc.array(wordRequirement, { minLength: 1, maxLength: 5 }), (requirements) => {
        const expected = satisfiable(requirements);
        expect(satisfiable(requirements.toReversed())).toBe(expected);
        expect(satisfiable(Array.from({ length: 20 }, () => requirements).flat())).toBe(expected);
      }),
    );
  });

  it.each<[readonly Requirement[], boolean]>([
    [[], true],
    [[is('x', 'In', 'a'), is('x', 'In', 'a', 'b')], true],
    [[is('x', 'In', 'a'), is('x', 'In', 'b')], false],
    [[is('x', 'In', 'a'), is('y', 'In', 'b')], true],
    [[is('x', 'In', 'a'), is('x', 'NotIn', 'a')], false],
    [[is('x', 'In', 'a', 'b'), is('x', 'NotIn', 'a')], true],
    [[is('x', 'In', 'a'), is('x', 'DoesNotExist')], false],
    [[is('x', 'Exists'), is('x', 'DoesNotExist')], false],
    [[is('x', 'NotIn', 'a'), is('x', 'DoesNotExist')], true],
    [[is('x', 'NotIn', 'a'), is('x', 'Exists')], true],
    [[is('x', 'Exists', 'a')], false],
    [[is('x', 'In')], false],
    [[is('x', 'In', 'bad value')], false],
    [[is('bad key', 'DoesNotExist')], false],
    [[is('x', 'Bogus')], false],
    [[is('x', 'Gt', '1'), is('x', 'Lt', '3')], true],
    [[is('x', 'Gt', '1'), is('x', 'Lt', '2')], false],
    [[is('x', 'Gt', '1'), is('x', 'Lt', '3'), is('x', 'NotIn', '2')], true],
    [[is('x', 'Gt', '1'), is('x', 'Lt', '3'), is('x', 'NotIn', ...spellings(2))], false],
    [[is('x', 'Gt', '1'), is('x', 'Lt', '3'), is('x', 'NotIn', ...spellings(2).slice(1))], true],
    [[is('x', 'Gt', '1'), is('x', 'Lt', '3'), is('x', 'NotIn', ...spellings(2).slice(0, -1))], true],
    [[is('x', 'Gt', '1'), is('x', 'Lt', '4'), is('x', 'NotIn', ...spellings(2))], true],
    [[is('x', 'Lt', '0')], false],
    [[is('x', 'Lt', '1'), is('x', 'In', '000')], true],
    [[is('x', 'Lt', '1'), is('x', 'In', 'zero')], false],
    [[is('x', 'Gt', '-1')], false],
    [[is('x', 'Gt', String(maxInt64))], false],
    [[is('x', 'Gt', String(maxInt64 - 1n))], true],
  ])('%j: %s', (requirements, expected) => {
    expect(satisfiable(requirements)).toBe(expected);
    const keys = [...new Set(requirements.map(({ key }) => key))];
    const values = keys.length > 1 ? wordUniverse : [...integerUniverse, 'b'];
    expect(someNodeMeets(requirements, values, keys)).toBe(expected);
  });

  it('copes with thousands of requirements and of values', () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `v${index}`);
    const narrow = many.map((value) => is('x', 'NotIn', value));
    expect(satisfiable([is('x', 'In', ...many), ...narrow])).toBe(false);
    expect(satisfiable([is('x', 'In', ...many, 'last'), ...narrow])).toBe(true);
    expect(satisfiable(many.map((value) => is(value, 'In', value)))).toBe(true);
    expect(satisfiable([...many.map((value) => is(value, 'In', value)), is('v7', 'DoesNotExist')])).toBe(false);
    expect(satisfiable(Array.from({ length: 200 }, () => is('x', 'In', ...many)))).toBe(true);
  });
});
