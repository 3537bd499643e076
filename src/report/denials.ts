import { type Line, objects, text } from '../audit/read/entry.ts';

/** Denials over time. A denial counts for each rule that denied it. */
export interface Denials {
  readonly fromMs: number;
  /** Width of a bucket in milliseconds. */
  readonly stepMs: number;
  /** Denials of each bucket; a request that two rules denied is one. */
  readonly totals: readonly number[];
  /** By rule, for each bucket: of the rules that were asked for. */
  readonly byRule: ReadonlyMap<string, readonly number[]>;
  /** By all other rules. */
  readonly others: readonly number[];
}

export interface DenialCounter {
  add(line: Line): void;
  denials(): Denials;
}

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** Widths that a reader can name. */
const steps = [
  ...[1, 10, 100, 1_000, 5_000, 15_000, 30_000, minute, 5 * minute, 15 * minute, 30 * minute],
  ...[hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 14 * day, 28 * day, 91 * day, 364 * day],
];

/** The least width that a reader can name by which a time has no more than `most` buckets. */
export function stepFor(spanMs: number, most: number): number {
  return steps.find((step) => spanMs / step < most) ?? 3_640 * day;
}

const maxBuckets = 48;

/**
 * @param fromMs first and last time that will come: buckets begin at whole multiples of their width.
 * @param rules that are counted one by one.
 */
export function createDenialCounter(fromMs: number, toMs: number, rules: readonly string[]): DenialCounter {
  const stepMs = stepFor(Math.max(0, toMs - fromMs), maxBuckets - 1);
  const start = Math.floor(fromMs / stepMs) * stepMs;
  const length = Number.isFinite(start) ? Math.floor((toMs - start) / stepMs) + 1 : 0;
  const empty = (): number[] => Array.from({ length }, () => 0);
  const totals = empty();
  const others = empty();
  const byRule = new Map(rules.map((rule) => [rule, empty()]));
  return {
    add({ header, value }) {
      if (header.kind !== 'AdmissionRecord' || text(value, 'decision') !== 'deny') return;
      const at = Math.floor((Date.parse(header.time) - start) / stepMs);
      if (!(at >= 0 && at < length)) return;
      totals[at] = (totals[at] ?? 0) + 1;
      const denying = objects(value, 'findings').filter((finding) => text(finding, 'enforcement') === 'enforce');
      for (const rule of new Set(denying.map((finding) => text(finding, 'rule')))) {
        const counts = byRule.get(rule) ?? others;
        counts[at] = (counts[at] ?? 0) + 1;
      }
    },
    denials: () => ({ fromMs: start, stepMs, totals, byRule, others }),
  };
}
