import type { Line } from './entry.ts';
import { type EventSpan, isDuring } from './mismatch.ts';

/** When each boot ended, as far as its lines tell: an entry for each boot is all that is kept. */
export interface BootEnds {
  see(line: Line): void;
  /** Whether a boot ended without an order to, and while a request was under way. */
  isCutOffDuring(boot: string, span: EventSpan): boolean;
}

export function createBootEnds(): BootEnds {
  const ends = new Map<string, { lastMs: number; inOrder: boolean }>();
  return {
    see({ header: { boot, kind, time } }) {
      const ms = Date.parse(time);
      const end = ends.get(boot);
      if (end === undefined) ends.set(boot, { lastMs: ms, inOrder: kind === 'LogStop' });
      else {
        // A decision bears the time when it was begun.
        if (ms > end.lastMs) end.lastMs = ms;
        end.inOrder ||= kind === 'LogStop';
      }
    },
    isCutOffDuring(boot, span) {
      const end = ends.get(boot);
      return end !== undefined && !end.inOrder && isDuring(end.lastMs, span);
    },
  };
}
