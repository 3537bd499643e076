import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHashTable } from '../../../src/audit/read/hash-table.ts';
import { sha256 } from '../support.ts';

const many = (count: number, name = 'x'): readonly string[] =>
  Array.from({ length: count }, (_, i) => sha256(`${name} ${i}`));

describe('the table of hashes', () => {
  it('does what a map does, whatever is asked of it in whatever order', () => {
    // Few hashes, among them neighbours, so that they come again.
    const hash = fc.oneof(
      fc.nat(30).map((i) => sha256(String(i))),
      fc.nat(30).map((i) => `00ffffff${i.toString(16).padStart(8, '0')}`.padEnd(64, 'e')),
      fc.nat(5).map((i) => `ff${String(i).repeat(6)}${'f'.repeat(56)}`),
    );
    const step = fc.tuple(fc.constantFrom('add', 'has', 'mark', 'isMarked'), hash);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
        const table = createHashTable();
        const model = new Map<string, boolean>();
        for (const [act, text] of steps) {
          const known = model.has(text);
          if (act === 'add') {
            expect(table.add(text)).toBe(!known);
            model.set(text, model.get(text) ?? false);
          } else if (act === 'has') expect(table.has(text)).toBe(known);
          else if (act === 'isMarked') expect(table.isMarked(text)).toBe(model.get(text) ?? false);
          else {
            expect(table.mark(text)).toBe(known);
            if (known) model.set(text, true);
          }
        }
        expect(table.size).toBe(model.size);
      }),
    );
  });

  it.each([
    ['19 bytes an entry where it knew how many would come', 50_000, 19],
    ['24 where it had to grow', 0, 24],
  ])('keeps hashes and marks in %s', (_what, expected, most) => {
    const table = createHashTable(expected);
    const [there, absent] = [many(50_000), many(1_000, 'absent')];
    for (const [i, hash] of there.entries()) {
      table.add(hash);
      if (i % 3 === 0) table.mark(hash);
    }
    expect(there.filter((hash, i) => !table.has(hash) || table.isMarked(hash) !== (i % 3 === 0))).toEqual([]);
    expect(absent.filter((hash) => table.has(hash) || table.mark(hash))).toEqual([]);
    expect(table.bytes / table.size).toBeLessThan(most);
  });

  it('has no hash of zeros, nor what is no hash', () => {
    const table = createHashTable();
    expect([table.has('0'.repeat(64)), table.mark('0'.repeat(64)), table.has(''), table.has('xyz')]).toEqual([
      ...[false, false, false, false],
    ]);
  });
});
