import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareVersions, parseVersion, type Version } from '../../src/policy/kube/version.ts';

function parsed(text: string): Version {
  const version = parseVersion(text);
  if (version === undefined) throw new Error(`${text} does not parse`);
  return version;
}

const order = (a: string, b: string): number => Math.sign(compareVersions(parsed(a), parsed(b)));

/** The oracle: a version as a row of numbers, a release ranking above every stage, compared from the left. */
interface Spelled {
  readonly row: readonly number[];
  readonly text: string;
}

const vendor = fc.constantFrom(
  '',
  '+k3s1',
  '-eks-1552ad0',
  '+rke2r1',
  '-1',
  '~ds1',
  '-gke.200',
  ' LTS',
  '-tegra',
  '+rc.1',
  '-alphabet',
  '-20250107',
);
const spelled: fc.Arbitrary<Spelled> = fc
  .record({
    core: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
    zeros: fc.nat(2),
    v: fc.constantFrom('', 'v'),
    pre: fc.option(
      fc.record({
        stage: fc.nat(2),
        number: fc.nat(3),
        before: fc.constantFrom('-', '', '~', '.'),
        between: fc.constantFrom('', '.', '-'),
      }),
    ),
    vendor,
  })
  .map(({ core, zeros, v, pre, vendor: suffix }) => {
    const name = ['alpha', 'beta', 'rc'];
    const stage = pre === null ? '' : `${pre.before}${name[pre.stage]}${pre.between}${pre.number}`;
    return {
      row: [0, 1, 2, 3].map((part) => core[part] ?? 0).concat(pre === null ? [3, 0] : [pre.stage, pre.number]),
      text: `${v}${core.map((part) => '0'.repeat(zeros) + part).join('.')}${stage}${pre === null ? suffix : suffix.replace(/^[- ].*/, '')}`,
    };
  });

function compareRows(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at === -1 ? 0 : Math.sign((a[at] ?? 0) - (b[at] ?? 0));
}

describe('compareVersions', () => {
  it('orders versions by their numbers and stage, whatever the vendor appends', () => {
    fc.assert(
      fc.property(spelled, spelled, (a, b) => {
        expect([a.text, b.text, order(a.text, b.text)]).toEqual([a.text, b.text, compareRows(a.row, b.row)]);
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['v1.30.0-rc.1', '1.30.0'],
    ['v1.30.0-alpha.3+build', 'v1.30.0-beta.0'],
    ['1.30.0-beta.9', '1.30.0-rc.0'],
    ['2.0.0rc1', '2.0.0'],
    ['1.7.27-beta.2', '1.7.27'],
    ['1.7.27~rc.1-1', '1.7.27'],
    ['9.0 Beta (Plow)', '9'],
    ['1.29.9', '1.30.0-alpha.1'],
    ['535.183.06', '535.216.03'],
    ['1.9', '1.10'],
    ['36.4.3', '36.4.4'],
  ])('%s is lower than %s', (low, high) => {
    expect(order(low, high)).toBe(-1);
    expect(order(high, low)).toBe(1);
  });

  it.each([
    ['v1.30.4+k3s1', '1.30.4'],
    ['v1.30.2-eks-1552ad0', '1.30.2'],
    ['v1.31.1+rke2r1', '1.31.1'],
    ['1.7.27-1', '1.7.27'],
    ['1.7.27~ds1', '1.7.27'],
    ['v1.32.1-gke.200', '1.32.1'],
    ['535.216.03', '535.216.3'],
    ['1.30', '1.30.0.0'],
    ['22.04.5 LTS', '22.4.5'],
    ['1.0.0+rc.1', '1'],
    ['1.0-rcfoo', '1'],
    ['9'.repeat(400), '8'.repeat(400)],
  ])('%s equals %s', (a, b) => {
    expect(order(a, b)).toBe(0);
  });
});

describe('parseVersion', () => {
  it.each(['unknown.unknown.unknown', '', 'master', 'v', 'vv1', ' 1.2', '-1', '.5', 'R36.4.3'])(
    'does not read "%s"',
    (text) => {
      expect(parseVersion(text)).toBeUndefined();
    },
  );

  it.each([
    ['v0.0.0-master+$Format', { core: [0, 0, 0] }],
    ['1.30.x', { core: [1, 30] }],
    ['15 SP5', { core: [15] }],
    ['V1.2.3-RC2', { core: [1, 2, 3], pre: { stage: 2, number: 2 } }],
    ['1.2-alpha', { core: [1, 2], pre: { stage: 0, number: 0 } }],
  ])('reads %s up to where its core and stage end', (text, version) => {
    expect(parseVersion(text)).toEqual(version);
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => parseVersion(text) === undefined || parsed(text).core.length > 0));
  });
});
