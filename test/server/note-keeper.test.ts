import { expect, it } from 'vitest';
import type { KeyPair } from '../../src/server/certificates.ts';
import { createNoteKeeper } from '../../src/server/note-keeper.ts';

const pairOf = (key: string): KeyPair => ({
  cert: Buffer.from(''),
  key: Buffer.from(key),
  expiresAt: 0,
  fingerprint: '',
});

function keeper(key: string) {
  let rotate: (pair: KeyPair) => void = () => undefined;
  const notes = createNoteKeeper({
    current: () => pairOf(key),
    onChange: (listener) => {
      rotate = listener;
    },
  });
  return { notes, rotate: (next: string) => rotate(pairOf(next)) };
}

it('a note is believed by every replica with the same private key, and by no other', () => {
  const signature = keeper('a').notes.sign('text');
  expect(signature).toMatch(/^[0-9a-f]{32}$/);
  expect(keeper('a').notes.verify('text', signature)).toBe(true);
  expect(keeper('b').notes.verify('text', signature)).toBe(false);
  expect(keeper('a').notes.verify('other', signature)).toBe(false);
});

it('what is no signature is none, whatever its length', () => {
  for (const text of ['', 'unsigned', '0'.repeat(32), 'é'.repeat(32), 'x'.repeat(1_000)]) {
    expect(keeper('a').notes.verify('text', text)).toBe(false);
  }
});

it('a new private key signs from then on, and the two before it are believed', () => {
  const { notes, rotate } = keeper('a');
  const signatures = [notes.sign('text')];
  for (const key of ['b', 'b', 'c', 'd']) {
    rotate(key);
    signatures.push(notes.sign('text'));
  }
  expect(new Set(signatures).size).toBe(4);
  expect(signatures.map((signature) => notes.verify('text', signature))).toEqual([false, true, true, true, true]);
});
