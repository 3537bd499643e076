/** A node whose marks somebody else sets back again and again is left alone after so many writes, for so long. */
const maxWrites = 5;
const truceMs = 10 * 60_000;

/** Ends a quarrel over an object with another writer. */
export interface Truce {
  /** Whether the object may be written. */
  isOpen(name: string, nowMs: number): boolean;
  /** Counts a write. @returns whether it was the last one for now. */
  count(name: string, nowMs: number): boolean;
}

export function createTruce(): Truce {
  const writes = new Map<string, { readonly sinceMs: number; count: number }>();
  const isOver = (sinceMs: number, nowMs: number): boolean => nowMs - sinceMs >= truceMs;
  return {
    isOpen(name, nowMs) {
      const before = writes.get(name);
      return before === undefined || before.count < maxWrites || isOver(before.sinceMs, nowMs);
    },
    count(name, nowMs) {
      // Names of nodes that are gone would otherwise stay for ever.
      for (const [of, { sinceMs }] of writes) if (isOver(sinceMs, nowMs)) writes.delete(of);
      const entry = writes.get(name) ?? { sinceMs: nowMs, count: 0 };
      writes.set(name, entry);
      entry.count += 1;
      return entry.count === maxWrites;
    },
  };
}
