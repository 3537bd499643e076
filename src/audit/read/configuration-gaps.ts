import { type Line, objects, text } from './entry.ts';
import { type Span, unionOf } from './spans.ts';

/** Something that the policy covers and the API server did not send. */
export interface ConfigurationGap {
  readonly value: string;
  /** How many records say so. */
  readonly count: number;
  /** For how long, by whichever replica: from a record of it to one without it, or to the last line of that boot. */
  readonly seconds: number;
  /** Whether a replica's log ends with it. */
  readonly open: boolean;
}

export interface ConfigurationGaps {
  /** Every line, each replica's in their order. */
  see(line: Line): void;
  list(): readonly ConfigurationGap[];
}

/** More are counted together, and their times are not kept. */
const maxGaps = 1_000;
const others = '(others)';

export function createConfigurationGaps(): ConfigurationGaps {
  const gaps = new Map<string, { count: number; spans: readonly Span[]; open: boolean }>();
  /** Of the boot that is being read: since when what is not sent. */
  let open = new Map<string, number>();
  let [boot, replica, lastMs] = ['', '', Number.NaN];

  const close = (value: string, fromMs: number, toMs: number, isOpen: boolean): void => {
    const gap = gaps.get(value);
    if (gap === undefined) return;
    // A gap that comes and goes is as short as it was: only what touches is one.
    const spans = unionOf([...gap.spans, { fromMs, toMs }]);
    gap.spans = spans.length > maxGaps ? gap.spans : spans;
    gap.open ||= isOpen;
  };
  const closeAll = (isOpen: boolean): void => {
    for (const [value, fromMs] of open) close(value, fromMs, lastMs, isOpen);
    open = new Map();
  };

  return {
    see({ header, value }) {
      const ms = Date.parse(header.time);
      if (Number.isNaN(ms)) return;
      if (header.boot !== boot) closeAll(replica !== header.replica);
      [boot, replica, lastMs] = [header.boot, header.replica, ms];
      if (header.kind !== 'ConfigurationRecord') return;
      const now = objects(value, 'gaps').map((gap) => `${text(gap, 'where')} ${text(gap, 'message')}`);
      for (const [known, fromMs] of open) {
        if (now.includes(known)) continue;
        close(known, fromMs, ms, false);
        open.delete(known);
      }
      for (const each of now) {
        const key = gaps.has(each) || gaps.size < maxGaps ? each : others;
        const gap = gaps.get(key) ?? { count: 0, spans: [], open: false };
        gaps.set(key, gap);
        gap.count += 1;
        if (key !== others && !open.has(key)) open.set(key, ms);
      }
    },
    list() {
      closeAll(true);
      return [...gaps]
        .map(([value, { count, spans, open: isOpen }]) => ({
          ...{ value, count, open: isOpen },
          seconds: spans.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0) / 1_000,
        }))
        .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
    },
  };
}
