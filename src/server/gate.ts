/** Somebody who wants in. */
export interface Visitor {
  /**
   * Whose it is. Of those who wait, the one of whom fewest are inside goes first, and among equals the one whose source was let in longest
   * ago: nobody keeps the others out by sending many.
   */
  readonly source: string;
  onEnter(): void;
  /** It has been inside for too long while others wait; it is outside now. */
  onOverdue(): void;
}

/** One who waits, or is inside. */
export interface Visit {
  /** Something came of it: it is not idle. */
  progress(): void;
  /** Leaves, or gives up waiting; a second time it does nothing. */
  leave(): void;
}

/** Lets a number of visitors in at a time. */
export interface Gate {
  /** Lets it in at once if there is room now. */
  enter(visitor: Visitor): Visit;
}

export interface GateOptions {
  readonly room: number;
  /** How long one may be inside without progress, while others wait, in milliseconds. */
  readonly idleMs: number;
  /**
   * How long one may be inside at all while somebody of another source waits, in milliseconds; three times as long while only more of its own
   * do, for a source that is slow is not helped by cutting off what it has sent already.
   */
  readonly longestMs: number;
}

const ownPatience = 3;

/**
 * How often it is looked who must leave, in milliseconds. Time is counted in looks: one that comes late, because this process was busy, is
 * no fault of those inside and counts as any other.
 */
const lookMs = 100;

interface Entry {
  readonly visitor: Visitor;
  /** Since it was let in, in milliseconds. */
  ageMs: number;
  idleMs: number;
}

export function createGate({ room, idleMs, longestMs }: GateOptions): Gate {
  const inside = new Set<Entry>();
  const waiting = new Set<Entry>();
  /** For each source of which some were let in since nobody was there, which one in that time the last of them was. */
  const turns = new Map<string, number>();
  let turn = 0;
  let timer: NodeJS.Timeout | undefined;

  const letIn = (): void => {
    while (inside.size < room) {
      const entry = fairest(waiting, inside, turns);
      if (entry === undefined) break;
      turn += 1;
      turns.set(entry.visitor.source, turn);
      waiting.delete(entry);
      inside.add(entry);
      entry.visitor.onEnter();
    }
    if (waiting.size + inside.size === 0) turns.clear();
    watch();
  };

  const watch = (): void => {
    if (timer !== undefined || waiting.size === 0) return;
    // Timers run before sockets are read: what has come while this process was busy counts first.
    timer = setTimeout(() => setImmediate(look), lookMs);
    timer.unref();
  };

  const look = (): void => {
    timer = undefined;
    if (waiting.size === 0) return;
    for (const entry of inside) {
      entry.ageMs += lookMs;
      entry.idleMs += lookMs;
      const othersWait = waiting.values().some(({ visitor }) => visitor.source !== entry.visitor.source);
      const mayStay = entry.ageMs < (othersWait ? longestMs : ownPatience * longestMs);
      if (mayStay && entry.idleMs < idleMs) continue;
      inside.delete(entry);
      entry.visitor.onOverdue();
    }
    letIn();
  };

  return {
    enter(visitor) {
      const entry = { visitor, ageMs: 0, idleMs: 0 };
      waiting.add(entry);
      letIn();
      return {
        progress() {
          entry.idleMs = 0;
        },
        leave() {
          waiting.delete(entry);
          if (inside.delete(entry)) letIn();
        },
      };
    },
  };
}

/** The one of those who wait who goes first, by `Visitor.source`. */
function fairest(
  waiting: ReadonlySet<Entry>,
  inside: ReadonlySet<Entry>,
  turns: ReadonlyMap<string, number>,
): Entry | undefined {
  const counts = new Map<string, number>();
  for (const { visitor } of inside) counts.set(visitor.source, (counts.get(visitor.source) ?? 0) + 1);
  let best: Entry | undefined;
  let least = { count: Number.POSITIVE_INFINITY, turn: 0 };
  for (const entry of waiting) {
    const { source } = entry.visitor;
    const count = counts.get(source) ?? 0;
    const turn = turns.get(source) ?? 0;
    if (count > least.count || (count === least.count && turn >= least.turn)) continue;
    best = entry;
    least = { count, turn };
    if (count === 0 && turn === 0) break;
  }
  return best;
}
