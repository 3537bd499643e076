import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clip } from '../../src/policy/kube/text.ts';

const hostile = [
  '\n',
  '\r',
  '\t',
  '\0',
  '\u001b',
  '\u007f',
  '\u0085',
  '\u2028',
  '\u2029',
  '\u202e',
  '\u2066',
  '\u200f',
  '\u061c',
  '\u200b',
  '\ufeff',
];
const anyText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.array(fc.constantFrom('a', 'é', '😀', '\ud800', '\udc00', ...hostile)).map((parts) => parts.join('')),
);

describe('clip', () => {
  it('leaves an ordinary short text as it is', () => {
    expect(clip('node-role.kubernetes.io/control-plane', 64)).toBe('node-role.kubernetes.io/control-plane');
    expect(clip('Grüße 😀', 64)).toBe('Grüße 😀');
    expect(clip('abc', 3)).toBe('abc');
  });

  it('marks where it cut', () => {
    expect(clip('abcd', 3)).toBe('ab…');
    expect(clip('abcd', 1)).toBe('…');
    expect(clip('abcd', 0)).toBe('');
  });

  it('never cuts a pair of surrogates in half', () => {
    expect(clip('a😀bc', 3)).toBe('a…');
    expect(clip('a😀bc', 4)).toBe('a😀…');
  });

  it.each(hostile)('replaces %j', (character) => {
    expect(clip(`a${character}b`, 64)).toBe('a\ufffdb');
  });

  it('gives one well-formed line of at most max units, the start of the text where that is safe', () => {
    fc.assert(
      fc.property(anyText, fc.nat(40), (text, max) => {
        const shown = clip(text, max);
        expect(shown.length).toBeLessThanOrEqual(max);
        expect(shown.isWellFormed()).toBe(true);
        for (const character of hostile) expect(shown.includes(character)).toBe(false);
        const kept = text.length > max ? shown.slice(0, -1) : shown;
        [...kept].forEach((character, index) => {
          expect([character, '\ufffd']).toContain(character === '\ufffd' ? character : [...text][index]);
        });
      }),
    );
  });
});
