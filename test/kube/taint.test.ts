import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  covers,
  describePattern,
  describeTaint,
  describeToleration,
  overlap,
  type Taint,
  type TaintPattern,
  type Toleration,
  tolerates,
  toleratesSome,
  tolerationKey,
} from '../../src/policy/kube/taint.ts';
import { naiveTolerates } from './naive.ts';

const maxInt64 = '9223372036854775807';
const beyond = '9223372036854775808';
const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
const legalValues = ['', 'x', '0', '1', '2', '3', '007', '9223372036854775806', maxInt64];

/** Every taint that could tell two tolerations of these tests apart: `other` and `fresh` are named by none. */
const universe: readonly Taint[] = ['ops', 'gpu', 'other'].flatMap((key) =>
  [...legalValues, 'fresh'].flatMap((value) => effects.map((effect) => ({ key, value, effect }))),
);

const optional = (...texts: readonly string[]) => fc.option(fc.constantFrom(...texts), { nil: undefined });
function toleration(...operators: readonly string[]): fc.Arbitrary<Toleration> {
  return fc
    .record({
      key: optional('', 'ops', 'gpu'),
      operator: optional('', ...operators),
      value: optional(...legalValues, '-1', '-9223372036854775808', beyond, '+1', '-0', 'a b'),
      effect: optional('', ...effects),
      tolerationSeconds: fc.option(fc.constantFrom(-5, 0, 1, 300), { nil: undefined }),
    })
    .map((fields) => Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined)));
}
const anyToleration = toleration('Equal', 'Exists', 'Lt', 'Gt', 'exists');
const pattern: fc.Arbitrary<TaintPattern> = fc
  .record({
    key: fc.constantFrom('ops', 'gpu', 'other'),
    value: optional(...legalValues),
    effects: fc.subarray(effects),
  })
  .map(({ value, ...rest }) => (value === undefined ? rest : { ...rest, value }));

describe('tolerates', () => {
  it('agrees with the numbered rules of ToleratesTaint', () => {
    fc.assert(
      fc.property(anyToleration, fc.constantFrom(...universe), (has, taint) => {
        expect(tolerates(has, taint)).toBe(naiveTolerates(has, taint));
      }),
      { numRuns: 5000 },
    );
  });

  const ops: Taint = { key: 'ops', value: 'x', effect: 'NoSchedule' };
  it.each<[Toleration, Taint, boolean]>([
    [{ operator: 'Exists' }, ops, true],
    [{ operator: 'Exists', effect: 'NoExecute' }, ops, false],
    [{ key: 'ops', operator: 'Exists' }, ops, true],
    [{ key: 'ops', operator: 'Exists', value: 'y' }, ops, true],
    [{ key: 'gpu', operator: 'Exists' }, ops, false],
    [{ key: 'ops', value: 'x' }, ops, true],
    [{ key: 'ops', operator: 'Equal', value: 'x', effect: 'NoSchedule' }, ops, true],
    [{ key: 'ops', value: 'y' }, ops, false],
    [{ key: 'ops' }, ops, false],
    [{ key: 'ops' }, { key: 'ops', effect: 'NoSchedule' }, true],
    [{ key: 'ops' }, { key: 'ops', value: '', effect: 'NoSchedule' }, true],
    [{ value: 'x' }, ops, true],
    [{ key: 'ops', operator: 'exists' }, ops, false],
    [{ key: 'ops', operator: 'Lt', value: '5' }, { ...ops, value: '4' }, true],
    [{ key: 'ops', operator: 'Lt', value: '5' }, { ...ops, value: '5' }, false],
    [{ key: 'ops', operator: 'Gt', value: '5' }, { ...ops, value: '6' }, true],
    [{ key: 'ops', operator: 'Gt', value: '-1' }, { ...ops, value: '0' }, true],
    [{ key: 'ops', operator: 'Gt', value: '5' }, { ...ops, value: '06' }, false],
    [{ key: 'ops', operator: 'Gt', value: '05' }, { ...ops, value: '6' }, false],
    [{ key: 'ops', operator: 'Gt', value: '0' }, { ...ops, value: beyond }, false],
    [{ key: 'ops', operator: 'Lt', value: '5' }, ops, false],
  ])('%j against %j: %s', (has, taint, expected) => {
    expect(tolerates(has, taint)).toBe(expected);
    expect(naiveTolerates(has, taint)).toBe(expected);
  });
});

/** Taints of the pattern; where the value is open, also those that a toleration could name itself or that stand beside its limit. */
function taintsOf({ key, value, effects: wanted }: TaintPattern, has: Toleration): readonly Taint[] {
  const values = value === undefined ? [...legalValues, 'fresh', has.value ?? ''] : [value];
  return values.flatMap((each) => wanted.map((effect) => ({ key, value: each, effect })));
}

describe('toleratesSome', () => {
  it('is true exactly if one taint of the pattern is tolerated', () => {
    fc.assert(
      fc.property(anyToleration, pattern, (has, wanted) => {
        const expected = taintsOf(wanted, has).some((taint) => naiveTolerates(has, taint));
        expect(toleratesSome(has, wanted)).toBe(expected);
      }),
      { numRuns: 5000 },
    );
  });

  it.each<[Toleration, TaintPattern, boolean]>([
    [{ key: 'ops' }, { key: 'ops', effects }, true],
    [{ key: 'ops', value: 'x' }, { key: 'ops', effects }, true],
    [{ key: 'ops', value: 'x' }, { key: 'ops', value: 'y', effects }, false],
    [{ operator: 'Exists' }, { key: 'ops', value: 'y', effects: ['NoExecute'] }, true],
    [
      { key: 'ops', operator: 'Exists', effect: 'PreferNoSchedule' },
      { key: 'ops', effects: ['NoSchedule', 'NoExecute'] },
      false,
    ],
    [{ key: 'ops', operator: 'Lt', value: '1' }, { key: 'ops', effects }, true],
    [{ key: 'ops', operator: 'Lt', value: '0' }, { key: 'ops', effects }, false],
    [{ key: 'ops', operator: 'Gt', value: maxInt64 }, { key: 'ops', effects }, false],
    [{ key: 'ops', operator: 'Gt', value: '-7' }, { key: 'ops', effects }, true],
    [{ key: 'ops', operator: 'Gt', value: 'x' }, { key: 'ops', effects }, false],
    [{ operator: 'Exists' }, { key: 'ops', effects: [] }, false],
  ])('%j against %j: %s', (has, wanted, expected) => {
    expect(toleratesSome(has, wanted)).toBe(expected);
    expect(taintsOf(wanted, has).some((taint) => naiveTolerates(has, taint))).toBe(expected);
  });
});

/** Enumerates: no taint of the universe, nor one of b's own value, is tolerated by b and not by a, or by a for a shorter time. */
function naiveCovers(a: Toleration, b: Toleration): boolean {
  const seconds = (has: Toleration): number =>
    has.tolerationSeconds === undefined ? 1e9 : Math.max(has.tolerationSeconds, 0);
  const own = ['ops', 'gpu', 'other'].flatMap((key) =>
    effects.map((effect): Taint => ({ key, value: b.value ?? '', effect })),
  );
  return [...universe, ...own].every((taint) => {
    if (!naiveTolerates(b, taint)) return true;
    return naiveTolerates(a, taint) && (taint.effect !== 'NoExecute' || seconds(a) >= seconds(b));
  });
}

describe('covers', () => {
  it('is exact for Equal and Exists', () => {
    const plain = toleration('Equal', 'Exists');
    fc.assert(
      fc.property(plain, plain, (a, b) => {
        expect(covers(a, b)).toBe(naiveCovers(a, b));
      }),
      { numRuns: 10_000 },
    );
  });

  it('is never wrongly true for any operator', () => {
    const related = fc
      .tuple(anyToleration, anyToleration, fc.boolean())
      .map(([a, b, alike]) => [a, alike ? { ...a, ...b } : b] as const);
    fc.assert(
      fc.property(related, ([a, b]) => {
        expect(covers(a, b) && !naiveCovers(a, b)).toBe(false);
      }),
      { numRuns: 10_000 },
    );
  });

  it.each<[Toleration, Toleration, boolean]>([
    [{ operator: 'Exists' }, { key: 'ops', value: 'x', effect: 'NoSchedule' }, true],
    [{ key: 'ops', operator: 'Exists' }, { key: 'ops' }, true],
    [{ key: 'ops', operator: 'Exists' }, { operator: 'Exists' }, false],
    [{ key: 'ops', operator: 'Exists', effect: 'NoSchedule' }, { key: 'ops', operator: 'Exists' }, false],
    [{ key: 'ops', value: 'x' }, { key: 'ops', operator: 'Equal', value: 'x', effect: 'NoExecute' }, true],
    [{ key: 'ops', value: 'x' }, { key: 'ops', operator: 'Exists' }, false],
    [{ key: 'ops', operator: 'Exists', tolerationSeconds: 30 }, { key: 'ops', operator: 'Exists' }, false],
    [
      { key: 'ops', operator: 'Exists', tolerationSeconds: 30 },
      { key: 'ops', operator: 'Exists', effect: 'NoSchedule' },
      true,
    ],
    [{ key: 'ops', operator: 'Exists' }, { key: 'ops', operator: 'Exists', tolerationSeconds: 30 }, true],
    [
      { key: 'ops', operator: 'Exists', tolerationSeconds: -1 },
      { key: 'ops', operator: 'Exists', tolerationSeconds: 0 },
      true,
    ],
  ])('%j covers %j: %s', (a, b, expected) => {
    expect(covers(a, b)).toBe(expected);
    expect(naiveCovers(a, b)).toBe(expected);
  });

  it('compares the ranges of Lt and Gt', () => {
    const range = (operator: string, value: string): Toleration => ({ key: 'ops', operator, value });
    expect(covers(range('Lt', '3'), range('Lt', '2'))).toBe(true);
    expect(covers(range('Lt', '2'), range('Lt', '3'))).toBe(false);
    expect(covers(range('Gt', '1'), range('Gt', '2'))).toBe(true);
    expect(covers(range('Gt', '1'), range('Lt', '2'))).toBe(false);
    expect(covers(range('Gt', '1'), range('Equal', '2'))).toBe(true);
    expect(covers(range('Gt', '1'), range('Equal', '1'))).toBe(false);
  });
});

describe('overlap', () => {
  it('is true exactly if one taint is of both patterns', () => {
    const holds = (wanted: TaintPattern, { key, value, effect }: Taint): boolean =>
      key === wanted.key && (wanted.value ?? value) === value && wanted.effects.includes(effect);
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        expect(overlap(a, b)).toBe(universe.some((taint) => holds(a, taint) && holds(b, taint)));
      }),
      { numRuns: 5000 },
    );
  });
});

describe('tolerationKey', () => {
  it.each<[Toleration, Toleration, boolean]>([
    [{ key: 'ops' }, { key: 'ops', operator: 'Equal', value: '', effect: '' }, true],
    [{ operator: 'Exists' }, { key: '', operator: 'Exists' }, true],
    [{ key: 'ops', operator: 'Exists', tolerationSeconds: 5 }, { key: 'ops', operator: 'Exists' }, true],
    [{ key: 'ops' }, { key: 'ops', operator: 'Exists' }, false],
    [{ key: 'ops', value: 'x' }, { key: 'ops', value: 'y' }, false],
    [{ key: 'ops' }, { key: 'gpu' }, false],
    [{ key: 'ops', effect: 'NoSchedule' }, { key: 'ops' }, false],
  ])('%j and %j: %s', (a, b, expected) => {
    expect(tolerationKey(a) === tolerationKey(b)).toBe(expected);
  });
});

describe('describeToleration, describeTaint and describePattern', () => {
  it('write what is there, as a manifest and kubectl do', () => {
    expect(describeToleration({ key: 'ops', operator: 'Exists', effect: 'NoSchedule' })).toBe(
      '{key: ops, operator: Exists, effect: NoSchedule}',
    );
    expect(describeToleration({ key: 'ops', value: 'x' })).toBe('{key: ops, value: x}');
    expect(describeToleration({ key: '', operator: 'Exists' })).toBe('{operator: Exists}');
    expect(describeToleration({})).toBe('{}');
    expect(describeTaint({ key: 'ops', value: 'x', effect: 'NoSchedule' })).toBe('ops=x:NoSchedule');
    expect(describeTaint({ key: 'ops', value: '', effect: 'NoExecute' })).toBe('ops:NoExecute');
    expect(describePattern({ key: 'ops', effects: ['NoSchedule', 'NoExecute'] })).toBe('ops:NoSchedule|NoExecute');
    expect(describePattern({ key: 'ops', value: '', effects: ['NoExecute'] })).toBe('ops=:NoExecute');
  });

  it('keep a hostile text short and on one line', () => {
    const text = `${'k'.repeat(70)}\n`;
    expect(describeToleration({ key: text, value: 'a\nb' })).toBe(`{key: ${'k'.repeat(63)}…, value: a\ufffdb}`);
    expect(describeTaint({ key: 'a\u202eb', value: text, effect: 'x' })).toBe(`a\ufffdb=${'k'.repeat(63)}…:x`);
  });
});
