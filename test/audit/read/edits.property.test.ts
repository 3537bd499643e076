import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyText } from '../../support/audit-log.ts';
import { flipped, placesOf } from '../../support/json-places.ts';
import { anyLog, join, kindOf, linesOf } from './generated-log.ts';

/* Logs to which several things were done, one after the other. */

/** A line of an edited log: which one it was, and whether it still is. */
interface Item {
  readonly text: string;
  readonly origin: number | undefined;
}

type Edit = (items: readonly Item[]) => readonly Item[];

const share = fc.integer({ min: 0, max: 9_999 }).map((number) => number / 10_000);
const at = (items: readonly Item[], share: number): number => Math.floor(share * items.length);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  share.map(
    (which): Edit =>
      (items) =>
        items.toSpliced(at(items, which), 1),
  ),
  fc.tuple(share, share, fc.integer({ min: 1, max: 127 })).map(
    ([which, where, by]): Edit =>
      (items) => {
        const index = at(items, which);
        const line = Buffer.from(items[index]?.text ?? '');
        const byte = Math.floor(where * line.length);
        line[byte] = (line[byte] ?? 0) ^ by;
        const text = line.toString();
        return index >= items.length || text.includes('\n') || text.includes('\ufffd')
          ? items
          : items.with(index, { text, origin: undefined });
      },
  ),
  fc.tuple(share, share).map(
    ([which, where]): Edit =>
      (items) => {
        const copied = items[at(items, which)];
        return copied === undefined ? items : items.toSpliced(at(items, where), 0, copied);
      },
  ),
  fc.tuple(share, share).map(
    ([one, other]): Edit =>
      (items) => {
        const [a, b] = [at(items, one), at(items, other)];
        const [first, second] = [items[a], items[b]];
        return first === undefined || second === undefined ? items : items.with(a, second).with(b, first);
      },
  ),
  fc.tuple(share, share).map(
    ([from, to]): Edit =>
      (items) => {
        const moved = items[at(items, from)];
        const rest = items.toSpliced(at(items, from), 1);
        return moved === undefined ? items : rest.toSpliced(at(rest, to), 0, moved);
      },
  ),
  fc.tuple(share, fc.string({ unit: 'grapheme-ascii' })).map(
    ([where, text]): Edit =>
      (items) =>
        items.toSpliced(at(items, where), 0, { text, origin: undefined }),
  ),
  fc.tuple(share, share).map(
    ([from, to]): Edit =>
      (items) =>
        items.slice(at(items, from), at(items, to) + 1),
  ),
);

/** Whether lines stand there as they were written, one after the other, from any to any. */
function isPiece(items: readonly Item[]): boolean {
  const [first] = items;
  return items.every(({ origin }, i) => origin !== undefined && origin === (first?.origin ?? 0) + i);
}

/**
 * What is left to judge an edited log by: nothing vouches for its last line, and a boot that links to nothing, as the first one here does, says
 * nothing of what stands before it.
 */
function vouchedFor(items: readonly Item[]): readonly Item[] {
  const start = items.findIndex(({ origin }) => origin === 0);
  return items.slice(Math.max(0, start), -1);
}

/** @param isFound whether verify finds a break. */
function judge(after: readonly Item[], isFound: boolean): void {
  if (isPiece(after)) expect(isFound).toBe(false);
  else if (!isPiece(vouchedFor(after))) expect(isFound).toBe(true);
}

const textOf = (items: readonly Item[]): string => join(items.map(({ text }) => text));

describe('a log to which several things were done', () => {
  it('verifies only as a piece of what it was, but for what nothing vouches for', () => {
    let broken = 0;
    fc.assert(
      fc.property(
        anyLog(['decide', 'checkpoint', 'restart', 'kill']),
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        (steps, edits) => {
          const before: readonly Item[] = linesOf(steps).map((text, origin) => ({ text, origin }));
          const after = edits.reduce((items, change) => change(items), before);
          const { found } = verifyText(textOf(after));
          judge(after, found !== undefined);
          if (found !== undefined) broken += 1;
        },
      ),
      { numRuns: 1_000 },
    );
    expect(broken).toBeGreaterThan(500);
  });

  it('with lost lines too: the GapRecord names the line before those', () => {
    fc.assert(
      fc.property(
        anyLog(['decide', 'checkpoint', 'lose']),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (steps, edits) => {
          const before: readonly Item[] = linesOf(steps).map((text, origin) => ({ text, origin }));
          const after = edits.reduce((items, change) => change(items), before);
          judge(after, verifyText(textOf(after)).found !== undefined);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a line of any kind', () => {
  it('is found to be changed by a byte of any key or value', () => {
    const lines = linesOf(
      [{ do: 'decide' }, { do: 'lose', count: 2 }, { do: 'decide' }, { do: 'checkpoint' }, { do: 'kill' }],
      true,
    );
    expect(new Set(lines.map(kindOf)).size).toBe(8);
    const wrong = lines.flatMap((line, index) => {
      return placesOf(line).flatMap((place) => {
        const { found } = verifyText(join(lines.with(index, flipped(line, place).toString())));
        const isThere = found !== undefined && Math.abs(found.place.line - index - 1) <= 1;
        return isThere ? [] : [`${kindOf(line)} ${place.path}`];
      });
    });
    expect(wrong).toEqual([]);
  });
});
