import { type Line, number, objects, text } from '../audit/read/entry.ts';

/** One run of a server, as far as its lines say. Times are milliseconds of the Unix epoch. */
export interface ServerRun {
  readonly replica: string;
  readonly boot: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Whether it ended in order: then nothing ran after `toMs`. Otherwise it may have run on without a line. */
  readonly orderly: boolean;
}

/** A policy that came into force in one server. */
export interface PolicyChange {
  readonly ms: number;
  readonly digest: string;
  readonly preset: string;
}

/** Something that a reviewer should see on the time line. */
export interface Mark {
  readonly ms: number;
  readonly kind: 'lost' | 'refused' | 'uncovered';
  readonly text: string;
}

/** A time in which the log knows of no server. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly orderly: boolean;
}

export interface History {
  readonly runs: readonly ServerRun[];
  readonly changes: readonly PolicyChange[];
  readonly marks: readonly Mark[];
  readonly gaps: readonly Gap[];
  /** Text of the policy that came into force last; empty where the log does not hold it. */
  readonly lastPolicyText: string;
  readonly cluster: string;
}

export interface Historian {
  add(line: Line): void;
  history(): History;
}

/** More are passed over: a page shows no more than some hundred. */
const maxKept = 10_000;

export function createHistorian(): Historian {
  const runs = new Map<string, { replica: string; boot: string; fromMs: number; toMs: number; orderly: boolean }>();
  const changes: PolicyChange[] = [];
  const marks: Mark[] = [];
  const policyTexts = new Map<string, string>();
  let cluster = '';

  const mark = (kind: Mark['kind'], ms: number, words: string): void => {
    if (marks.length < maxKept) marks.push({ ms, kind, text: words });
  };

  const byKind: Readonly<Record<string, (line: Line, ms: number) => void>> = {
    LogStart({ value }) {
      cluster ||= text(value, 'cluster');
    },
    PolicyRecord({ value }, ms) {
      if (text(value, 'outcome') !== 'loaded') return mark('refused', ms, text(value, 'error'));
      const digest = text(value, 'digest');
      if (changes.length < maxKept) changes.push({ ms, digest, preset: text(value, 'preset') });
      const policyText = text(value, 'policyText');
      if (policyText !== '' && policyTexts.size < maxKept) policyTexts.set(digest, policyText);
    },
    ConfigurationRecord({ value }, ms) {
      const gaps = objects(value, 'gaps');
      if (gaps.length > 0)
        mark('uncovered', ms, gaps.map((gap) => `${text(gap, 'where')} ${text(gap, 'message')}`).join('; '));
    },
    GapRecord: ({ value }) => mark('lost', Date.parse(text(value, 'from')), `${number(value, 'lost')} lines`),
  };

  return {
    add(line) {
      const { replica, boot, time, kind } = line.header;
      const ms = Date.parse(time);
      if (Number.isNaN(ms)) return;
      const known = runs.get(boot);
      if (known === undefined) {
        if (runs.size < maxKept) runs.set(boot, { replica, boot, fromMs: ms, toMs: ms, orderly: kind === 'LogStop' });
      } else {
        known.fromMs = Math.min(known.fromMs, ms);
        known.toMs = Math.max(known.toMs, ms);
        known.orderly ||= kind === 'LogStop';
      }
      if (Object.hasOwn(byKind, kind)) byKind[kind]?.(line, ms);
    },
    history() {
      const sorted = [...runs.values()].sort((a, b) => a.fromMs - b.fromMs || (a.boot < b.boot ? -1 : 1));
      const inTime = changes.sort((a, b) => a.ms - b.ms || (a.digest < b.digest ? -1 : 1));
      return {
        runs: sorted,
        changes: inTime.filter(({ digest }, index) => digest !== inTime[index - 1]?.digest),
        marks: marks.filter(({ ms }) => !Number.isNaN(ms)).sort((a, b) => a.ms - b.ms),
        gaps: gapsOf(sorted),
        lastPolicyText: policyTexts.get(inTime.at(-1)?.digest ?? '') ?? '',
        cluster,
      };
    },
  };
}

/** Times between runs, of all replicas together. @param runs in the order of their beginning. */
function gapsOf(runs: readonly ServerRun[]): readonly Gap[] {
  const gaps: Gap[] = [];
  let last: ServerRun | undefined;
  for (const run of runs) {
    if (last !== undefined && run.fromMs > last.toMs) {
      gaps.push({ fromMs: last.toMs, toMs: run.fromMs, orderly: last.orderly });
    }
    if (last === undefined || run.toMs >= last.toMs) last = run;
  }
  return gaps;
}
