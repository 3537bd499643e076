import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Labels } from '../../src/policy/kube/labels.ts';
import {
  matchesLabels,
  type NodeSelectorTerm,
  nodeMatcher,
  type Requirement,
} from '../../src/policy/kube/node-selector.ts';
import { naiveMeets, naiveSelects } from './naive.ts';

const keys = ['zone', 'rack', 'nvidia.com/gpu.count', 'constructor', '__proto__', '-bad', ''];
const values = [
  '',
  'a',
  'b',
  '0',
  '1',
  '2',
  '10',
  '007',
  '-1',
  '+1',
  '9223372036854775807',
  '9223372036854775808',
  'bad value',
  '1_0',
];
const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt', 'gt', ''];

const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...keys.slice(0, 2)) },
  { weight: 2, arbitrary: fc.constantFrom(...keys) },
);
const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...values.slice(0, 8)) },
  { weight: 1, arbitrary: fc.constantFrom(...values) },
);
const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record({ key, operator: fc.constantFrom('In', 'NotIn'), values: fc.array(value, { minLength: 1, maxLength: 4 }) }),
  fc.record({ key, operator: fc.constantFrom('Exists', 'DoesNotExist'), values: fc.constant([]) }),
  fc.record({ key, operator: fc.constantFrom('Gt', 'Lt'), values: fc.tuple(value) }),
  fc.record({ key, operator: fc.constantFrom(...operators), values: fc.array(value, { maxLength: 3 }) }),
);
const field: fc.Arbitrary<Requirement> = fc.record({
  key: fc.constantFrom('metadata.name', 'metadata.name', 'metadata.name', 'metadata.uid'),
  operator: fc.constantFrom('In', 'In', 'NotIn', 'Exists'),
  values: fc.constantFrom(['n1'], ['n1'], ['n2'], ['n1', 'n2'], []),
});
const term: fc.Arbitrary<NodeSelectorTerm> = fc.record({
  matchExpressions: fc.array(requirement, { maxLength: 3 }),
  matchFields: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(field, { maxLength: 2 }) },
  ),
});
const labelMap = fc.array(fc.tuple(key, value), { maxLength: 4 }).map((pairs) => new Map(pairs));

const matchesNodeSelector = (terms: readonly NodeSelectorTerm[] | undefined, node: { name: string; labels: Labels }) =>
  nodeMatcher(terms)(node);
const matchesTerm = (one: NodeSelectorTerm, node: { name: string; labels: Labels }): boolean =>
  nodeMatcher([one])(node);
const matchesRequirement = (one: Requirement, labels: Labels): boolean =>
  matchesTerm({ matchExpressions: [one], matchFields: [] }, { name: 'n1', labels });

/** Own properties only, whatever the key: `__proto__` as JSON.parse makes it. */
const asLabels = (map: ReadonlyMap<string, string>): Labels => Object.fromEntries(map);

describe('matchesNodeSelector', () => {
  it('agrees with the documentation of node affinity', () => {
    let matched = 0;
    fc.assert(
      fc.property(fc.array(term, { maxLength: 3 }), labelMap, (terms, labels) => {
        const expected = naiveSelects(terms, { name: 'n1', labels });
        if (expected) matched += 1;
        expect(matchesNodeSelector(terms, { name: 'n1', labels: asLabels(labels) })).toBe(expected);
      }),
      { numRuns: 5000, seed: 7 },
    );
    // Both answers occur often enough for the comparison to mean something.
    expect(matched).toBeGreaterThan(500);
    expect(matched).toBeLessThan(4500);
  });

  it('takes no required affinity for any node, and no terms for none', () => {
    const node = { name: 'n1', labels: {} };
    expect(matchesNodeSelector(undefined, node)).toBe(true);
    expect(matchesNodeSelector([], node)).toBe(false);
    expect(matchesNodeSelector([{ matchExpressions: [], matchFields: [] }], node)).toBe(false);
  });

  it('lets a requirement that does not parse spoil its own term only', () => {
    const node = { name: 'n1', labels: { rack: '5', zone: 'a' } };
    const broken = { key: 'rack', operator: 'Gt', values: ['three'] };
    const sound = { key: 'zone', operator: 'In', values: ['a'] };
    expect(matchesTerm({ matchExpressions: [sound, broken], matchFields: [] }, node)).toBe(false);
    expect(
      matchesNodeSelector(
        [
          { matchExpressions: [broken], matchFields: [] },
          { matchExpressions: [sound], matchFields: [] },
        ],
        node,
      ),
    ).toBe(true);
  });
});

describe('matchesRequirement', () => {
  it.each<[string, string, readonly string[], Labels, boolean]>([
    ['zone', 'In', ['a', 'b'], { zone: 'b' }, true],
    ['zone', 'In', ['a'], { zone: 'b' }, false],
    ['zone', 'In', ['a'], {}, false],
    ['zone', 'In', [''], { zone: '' }, true],
    ['zone', 'In', [], { zone: 'a' }, false],
    ['zone', 'In', ['a', 'bad value'], { zone: 'a' }, false],
    ['zone', 'NotIn', ['a'], { zone: 'b' }, true],
    ['zone', 'NotIn', ['a'], { zone: 'a' }, false],
    ['zone', 'NotIn', ['a'], {}, true],
    ['zone', 'NotIn', [], { zone: 'b' }, false],
    ['zone', 'Exists', [], { zone: '' }, true],
    ['zone', 'Exists', [], {}, false],
    ['zone', 'Exists', ['a'], { zone: 'a' }, false],
    ['zone', 'DoesNotExist', [], {}, true],
    ['zone', 'DoesNotExist', [], { zone: 'a' }, false],
    ['rack', 'Gt', ['5'], { rack: '6' }, true],
    ['rack', 'Gt', ['5'], { rack: '5' }, false],
    ['rack', 'Gt', ['5'], { rack: '006' }, true],
    ['rack', 'Gt', ['5'], {}, false],
    ['rack', 'Gt', ['5', '6'], { rack: '9' }, false],
    ['rack', 'Gt', ['-1'], { rack: '6' }, false],
    ['rack', 'Gt', ['5'], { rack: '9223372036854775808' }, false],
    ['rack', 'Lt', ['5'], { rack: '4' }, true],
    ['rack', 'Lt', ['5'], { rack: 'four' }, false],
    ['rack', 'Lt', ['5'], { rack: '4.0' }, false],
    ['rack', 'lt', ['5'], { rack: '4' }, false],
    ['bad key', 'DoesNotExist', [], {}, false],
    ['constructor', 'DoesNotExist', [], {}, true],
  ])('%s %s %j of %j: %s', (wanted, operator, list, labels, expected) => {
    const parsed = { key: wanted, operator, values: list };
    expect(matchesRequirement(parsed, labels)).toBe(expected);
    expect(naiveMeets(parsed, new Map(Object.entries(labels)))).toBe(expected);
  });
});

describe('matchesTerm', () => {
  const node = { name: 'n1', labels: { zone: 'a' } };
  const named = (operator: string, ...names: readonly string[]): Requirement => ({
    key: 'metadata.name',
    operator,
    values: names,
  });
  it.each<[Requirement, boolean]>([
    [named('In', 'n1'), true],
    [named('In', 'n2'), false],
    [named('NotIn', 'n2'), true],
    [named('NotIn', 'n1'), false],
    [named('In', 'n1', 'n2'), false],
    [named('In'), false],
    [named('NotIn'), false],
    [named('Exists'), false],
    [{ key: 'metadata.uid', operator: 'NotIn', values: ['n2'] }, true],
    [{ key: 'metadata.uid', operator: 'In', values: ['n1'] }, false],
    [{ key: 'metadata.uid', operator: 'In', values: [''] }, true],
  ])('takes the field %j of node n1 for %s', (requirementOfField, expected) => {
    const only: NodeSelectorTerm = { matchExpressions: [], matchFields: [requirementOfField] };
    expect(matchesTerm(only, node)).toBe(expected);
    expect(naiveSelects([only], { name: 'n1', labels: new Map() })).toBe(expected);
    expect(matchesTerm({ ...only, matchExpressions: [{ key: 'zone', operator: 'In', values: ['b'] }] }, node)).toBe(
      false,
    );
  });
});

describe('matchesLabels', () => {
  it('wants every pair', () => {
    fc.assert(
      fc.property(labelMap, labelMap, (selector, labels) => {
        const expected = [...selector].every(([name, wanted]) => labels.get(name) === wanted);
        expect(matchesLabels(asLabels(selector), asLabels(labels))).toBe(expected);
        expect(matchesLabels(asLabels(selector), asLabels(new Map([...labels, ...selector])))).toBe(true);
      }),
    );
  });

  it('finds nothing that an object only inherits', () => {
    expect(matchesLabels({ constructor: 'x' }, {})).toBe(false);
    expect(matchesLabels({}, {})).toBe(true);
  });
});
