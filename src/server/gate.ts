/** Somebody who wants in. */
export interface Visitor {
  /** Whose it is. Of those who wait, the one of whom fewest are inside goes first, so that nobody keeps the others out by sending many. */
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
  /** How long one may be inside at all, while others wait, in milliseconds. */
  readonly longestMs: number;
}

/**
 * How often it is looked who must leave, in milliseconds. Time is counted in looks: one that comes late, because this process was busy, is
 * no fault of those inside and counts as any other.
 */
const lookMs = 100;

interface Inside {
  readonly visitor: Visitor;
  /** Milliseconds. */
  ageMs: number;
  idleMs: number;
}

export function createGate({ room, idleMs, longestMs }: GateOptions): Gate {
  const inside = new Set<Inside>();
  const waiting = new Map<Visitor, (place: Inside) => void>();
  let timer: NodeJS.Timeout | undefined;

  const letIn = (): void => {
    while (inside.size < room) {
      const visitor = fairest(waiting.keys(), inside);
      if (visitor === undefined) break;
      const place = { visitor, ageMs: 0, idleMs: 0 };
      inside.add(place);
      waiting.get(visitor)?.(place);
      waiting.delete(visitor);
      visitor.onEnter();
    }
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
    for (const place of inside) {
      place.ageMs += lookMs;
      place.idleMs += lookMs;
      if (place.ageMs < longestMs && place.idleMs < idleMs) continue;
      inside.delete(place);
      place.visitor.onOverdue();
    }
    letIn();
  };

  return {
    enter(visitor) {
      let place: Inside | undefined;
      waiting.set(visitor, (given) => {
        place = given;
      });
      letIn();
      return {
        progress() {
          if (place !== undefined) place.idleMs = 0;
        },
        leave() {
          waiting.delete(visitor);
          if (place !== undefined && inside.delete(place)) letIn();
        },
      };
    },
  };
}

/** The first of those who wait of whose source fewest are inside. */
function fairest(waiting: Iterable<Visitor>, inside: ReadonlySet<Inside>): Visitor | undefined {
  const counts = new Map<string, number>();
  for (const { visitor } of inside) counts.set(visitor.source, (counts.get(visitor.source) ?? 0) + 1);
  let best: Visitor | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const visitor of waiting) {
    const count = counts.get(visitor.source) ?? 0;
    if (count >= fewest) continue;
    best = visitor;
    fewest = count;
    if (count === 0) break;
  }
  return best;
}
