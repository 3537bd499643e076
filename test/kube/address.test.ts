import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLinkLocal, isLoopback, parseIp } from '../../src/policy/kube/address.ts';

const octets = fc.tuple(...[0, 1, 2, 3].map(() => fc.oneof(fc.constantFrom(0, 1, 127, 169, 254, 255), fc.nat(255))));
const groups = fc.array(fc.oneof(fc.constant(0), fc.constantFrom(1, 0xffff, 0xfe80, 0xfebf), fc.nat(0xffff)), {
  minLength: 8,
  maxLength: 8,
});
const junk = fc.oneof(
  fc.string({ unit: fc.constantFrom('0', '1', 'f', 'E', ':', ':', '.', '255', '::', 'g', ' '), maxLength: 20 }),
  fc
    .array(fc.constantFrom('0', '1', '01', '255', '256', '', '-1', '1e1'), { minLength: 3, maxLength: 5 })
    .map((parts) => parts.join('.')),
  fc
    .array(fc.constantFrom('0', '0000', 'ffff', '', '00000', '1.2.3.4'), { minLength: 6, maxLength: 9 })
    .map((parts) => parts.join(':')),
);

/** The URL standard's own IPv6 writer, which follows RFC 5952. */
const urlForm = (text: string): string => new URL(`http://[${text}]/`).hostname.slice(1, -1);

/** Any spelling of the groups: case, leading zeros, one run of zeros as `::`, the last two groups as IPv4. */
function spell(all: readonly number[], upper: boolean, padded: boolean, from: number, dotted: boolean): string {
  const parts = all.map((group) => {
    const hex = group.toString(16).padStart(padded ? 4 : 1, '0');
    return upper ? hex.toUpperCase() : hex;
  });
  const [high = 0, low = 0] = all.slice(6);
  if (dotted) parts.splice(6, 2, `${high >> 8}.${high % 256}.${low >> 8}.${low % 256}`);
  let to = from;
  while (to < (dotted ? 6 : 8) && all[to] === 0) to += 1;
  return to > from ? `${parts.slice(0, from).join(':')}::${parts.slice(to).join(':')}` : parts.join(':');
}

const mapped = (all: readonly number[]): boolean => all.slice(0, 6).join() === '0,0,0,0,0,65535';

describe('parseIp', () => {
  it('accepts exactly what the system accepts as an address without a zone', () => {
    fc.assert(
      fc.property(junk, (text) => {
        expect([text, parseIp(text) !== undefined]).toEqual([text, isIP(text) !== 0]);
      }),
      { numRuns: 5000 },
    );
  });

  it('gives every spelling of an IPv6 address one canonical form', () => {
    fc.assert(
      fc.property(groups, fc.boolean(), fc.boolean(), fc.nat(7), fc.boolean(), (all, upper, padded, from, dotted) => {
        fc.pre(!mapped(all));
        expect(parseIp(spell(all, upper, padded, from, dotted))).toBe(
          urlForm(all.map((group) => group.toString(16)).join(':')),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps an IPv4 address and unwraps an IPv4-mapped one', () => {
    fc.assert(
      fc.property(octets, (four) => {
        const text = four.join('.');
        expect(parseIp(text)).toBe(text);
        expect(parseIp(`::ffff:${text}`)).toBe(text);
        expect(parseIp(parseIp(`0:0:0:0:0:FFFF:${text}`) ?? '')).toBe(text);
      }),
    );
  });

  it.each([
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ['::1.2.3.4', '::102:304'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['10.0.0.1', '10.0.0.1'],
  ])('writes %s as %s', (text, canonical) => {
    expect(parseIp(text)).toBe(canonical);
  });

  it.each([
    '',
    'node-1',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.4/24',
    '[::1]',
    'fe80::1%eth0',
    '1::2::3',
    ':::',
    '1:2:3:4:5:6:7::8',
    '::1.2.3.4:5',
    '1:'.repeat(1000),
  ])('refuses "%s"', (text) => {
    expect(parseIp(text)).toBeUndefined();
    expect(isLoopback(text) || isLinkLocal(text)).toBe(false);
  });
});

describe('isLoopback and isLinkLocal', () => {
  it('judge IPv4 by its first octets, mapped or not', () => {
    fc.assert(
      fc.property(octets, fc.constantFrom('', '::ffff:'), (four, prefix) => {
        const text = prefix + four.join('.');
        expect(isLoopback(text)).toBe(four[0] === 127);
        expect(isLinkLocal(text)).toBe(four[0] === 169 && four[1] === 254);
      }),
    );
  });

  it('judge IPv6 by its prefix', () => {
    fc.assert(
      fc.property(groups, fc.nat(7), (all, from) => {
        fc.pre(!mapped(all));
        const text = spell(all, false, false, from, false);
        expect(isLoopback(text)).toBe(all.join() === '0,0,0,0,0,0,0,1');
        expect(isLinkLocal(text)).toBe((all[0] ?? 0) >= 0xfe80 && (all[0] ?? 0) <= 0xfebf);
      }),
    );
    expect([isLoopback('::1'), isLinkLocal('fe80::1'), isLinkLocal('febf::'), isLinkLocal('fec0::')]).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});
