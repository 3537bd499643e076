import { type Line, objects, text } from '../audit/read/entry.ts';

/** What the page holds of the log, and how the rest was left out. */
export interface Sampling {
  readonly limit: number;
  /** Denials, errors, decisions for which an exemption counted, and lines of other kinds: there, and kept. */
  readonly notable: Kept;
  /** Other decisions, and checkpoints. */
  readonly others: Kept;
}

export interface Kept {
  readonly all: number;
  readonly kept: number;
}

export interface Counter {
  add(line: Line): void;
  /** How many of each are kept, so that all of them are no more than the limit. */
  sampling(limit: number): Sampling;
}

/** Counts what there is, before any of it is kept. */
export function createCounter(): Counter {
  const counts = { notable: 0, others: 0 };
  return {
    add(line) {
      counts[isNotable(line) ? 'notable' : 'others'] += 1;
    },
    sampling(limit) {
      const notable = Math.min(counts.notable, limit);
      const others = Math.min(counts.others, limit - notable);
      return {
        limit,
        notable: { all: counts.notable, kept: notable },
        others: { all: counts.others, kept: others },
      };
    },
  };
}

/** Whether a line is kept, asked of each line in the order of the log: those that are kept are spread evenly over it. */
export function createSampler({ notable, others }: Sampling): (line: Line) => boolean {
  const [keepNotable, keepOther] = [evenly(notable), evenly(others)];
  return (line) => (isNotable(line) ? keepNotable() : keepOther());
}

function evenly({ all, kept }: Kept): () => boolean {
  let at = 0;
  return () => {
    at += 1;
    return Math.floor((at * kept) / all) > Math.floor(((at - 1) * kept) / all);
  };
}

function isNotable({ header, value }: Line): boolean {
  if (header.kind !== 'AdmissionRecord') return header.kind !== 'Checkpoint';
  return text(value, 'decision') !== 'allow' || objects(value, 'exemptions').length > 0;
}
