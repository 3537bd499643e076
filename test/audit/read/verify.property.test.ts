import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyText } from '../../support/audit-log.ts';
import { anyLog, join, kindOf, linesOf } from './generated-log.ts';

/* Logs as the server writes them, each with one thing done to it. */

const log = anyLog(['decide', 'checkpoint', 'restart', 'kill', 'apart', 'lose']);

const bootOf = (line: string | undefined): string => JSON.parse(line ?? '{}').boot;
const at = (lines: readonly string[], share: number, from = 0, before = 0): number =>
  from + Math.floor(share * (lines.length - from - before));
const share = fc.integer({ min: 0, max: 9_999 }).map((number) => number / 10_000);

describe('a log', () => {
  it('that nobody touched verifies, with what was lost declared and every boot shown', () => {
    fc.assert(
      fc.property(log, (steps) => {
        const lines = linesOf(steps);
        const { found, lost, boots, unsigned } = verifyText(join(lines));
        expect(found).toBeUndefined();
        expect(lost.length).toBe(lines.filter((line) => kindOf(line) === 'GapRecord').length);
        expect(boots.length).toBe(lines.filter((line) => kindOf(line) === 'LogStart').length);
        expect(unsigned).toBe(0);
      }),
    );
  });

  it('of which a byte was changed is changed there', () => {
    fc.assert(
      fc.property(log, share, share, fc.integer({ min: 1, max: 255 }), (steps, which, where, by) => {
        const lines = linesOf(steps);
        const index = at(lines, which);
        fc.pre(!lines[index + 1]?.includes('"previousBoot":null'));
        const line = Buffer.from(lines[index] ?? '');
        const byte = Math.floor(where * line.length);
        line[byte] = (line[byte] ?? 0) ^ by;
        // A line break makes two lines of one; lone bytes of UTF-8 are no text that could be joined again here.
        fc.pre((line[byte] ?? 0) < 0x80 && line[byte] !== 10);
        const { found } = verifyText(join(lines.with(index, line.toString())));
        const allowed: Readonly<Record<string, readonly string[]>> = {
          Checkpoint: ['changed', 'wrong signature', 'unknown key'],
          // It no longer declares what is missing.
          GapRecord: ['changed', 'removed'],
        };
        // Of a line before lost ones a number or boot that was changed may look as if more were missing.
        const isBeforeLost = kindOf(lines[index + 1]) === 'GapRecord';
        if (isBeforeLost && found?.kind === 'removed') return;
        expect(allowed[kindOf(lines[index])] ?? ['changed']).toContain(found?.kind);
        // Nothing stands after the last line that tells which of the last two it is.
        if (index === lines.length - 1) expect([index, index + 1]).toContain(found?.place.line);
        else expect(found?.place.line).toBe(index + 1);
      }),
      {
        numRuns: 500,
        // The sequence number of a boot's first line, where that boot links to nothing.
        examples: [[[{ do: 'apart' }, { do: 'decide' }, { do: 'decide' }, { do: 'checkpoint' }], 0.3, 0.7432, 2]],
      },
    );
  });

  it('from which a line was taken is short of it', () => {
    fc.assert(
      fc.property(log, share, (steps, which) => {
        const lines = linesOf(steps);
        const index = at(lines, which, 1, 1);
        // The end of a boot that the next one does not link to is an end like that of the file.
        fc.pre(!lines[index + 1]?.includes('"previousBoot":null'));
        const { found } = verifyText(join(lines.toSpliced(index, 1)));
        expect(found?.kind).toBe('removed');
        expect(found?.place.line).toBe(index + 1);
      }),
      { numRuns: 300 },
    );
  });

  it('into which a copy of a line was put has it twice', () => {
    fc.assert(
      fc.property(log, share, share, (steps, which, where) => {
        const lines = linesOf(steps);
        const [from, to] = [at(lines, which), at(lines, where)];
        const { found } = verifyText(join(lines.toSpliced(to, 0, lines[from] ?? '')));
        // Beside lines that were lost, or before a boot that links to nothing, a copy may look like what is left of more.
        expect(found).toBeDefined();
        if (steps.some((entry) => entry.do === 'lose') || lines[to]?.includes('"previousBoot":null')) return;
        expect(found?.kind).toBe('inserted');
        // Of two that are the same, side by side, the second one is named.
        expect(found?.place.line).toBe(from === to ? to + 2 : to + 1);
      }),
      { numRuns: 500 },
    );
  });

  it('into which a line of another kind was put has it', () => {
    fc.assert(
      fc.property(log, share, fc.string({ unit: 'grapheme-ascii' }), (steps, where, text) => {
        const lines = linesOf(steps);
        const index = at(lines, where, 1);
        const { found } = verifyText(join(lines.toSpliced(index, 0, text)));
        expect(found?.kind).toBe('inserted');
        expect(found?.place.line).toBe(index + 1);
      }),
    );
  });

  it('of which two lines were swapped is out of order', () => {
    fc.assert(
      fc.property(log, share, share, (steps, one, other) => {
        const lines = linesOf(steps);
        const [first, second] = [at(lines, one), at(lines, other)].sort((a, b) => a - b) as [number, number];
        fc.pre(first !== second);
        const swapped = lines.with(first, lines[second] ?? '').with(second, lines[first] ?? '');
        const { found } = verifyText(join(swapped));
        // A boot whose first line is elsewhere may look like one of which lines are missing.
        expect(found).toBeDefined();
        if (bootOf(lines[first]) !== bootOf(lines[second])) return;
        expect(found?.kind).toBe('reordered');
        expect(found?.place.line).toBe(first + 1);
      }),
      { numRuns: 500 },
    );
  });

  it('that was cut off within a line is truncated there; between two lines it has no orderly end', () => {
    fc.assert(
      fc.property(log, share, (steps, where) => {
        const lines = linesOf(steps);
        const text = join(lines);
        const length = Math.max(1, Math.floor(where * text.length));
        const cut = text.slice(0, length);
        const { found, boots } = verifyText(cut);
        // Behind the stop of a boot there may be a checkpoint yet.
        const isStopped = cut.slice(cut.lastIndexOf('"kind":"LogStart"')).includes('"kind":"LogStop"');
        if (cut.endsWith('\n')) expect([found, boots.at(-1)?.stopped]).toEqual([undefined, isStopped ? 'SIGTERM' : '']);
        else {
          expect(found?.kind).toBe('truncated');
          expect(found?.place.offset).toBe(cut.lastIndexOf('\n') + 1);
        }
      }),
      { numRuns: 300 },
    );
  });
});
