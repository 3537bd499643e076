import type { ApiEvent } from './api-event.ts';
import { type Line, number, text } from './entry.ts';
import { slackMs } from './mismatch.ts';

/** What the log says itself that it lost. A record of it is no more than that: it explains as many calls as it counts lines. */
export interface DeclaredLosses {
  see(line: Line): void;
  /** Whether a loss explains that a call of this request has no record: it then explains one less. */
  explain(event: Pick<ApiEvent, 'receivedMs' | 'doneMs'>): boolean;
}

export function createDeclaredLosses(): DeclaredLosses {
  /** By the hash of the line: given twice, it declares no more. */
  const losses = new Map<string, { readonly fromMs: number; readonly toMs: number; left: number }>();
  return {
    see({ header, value, hash }) {
      if (header.kind !== 'GapRecord' || losses.has(hash)) return;
      const span = number(value, 'lastSequence') - number(value, 'firstSequence') + 1;
      losses.set(hash, {
        fromMs: Date.parse(text(value, 'from')),
        toMs: Date.parse(text(value, 'to')),
        left: Math.min(number(value, 'lost'), span),
      });
    },
    explain({ receivedMs, doneMs }) {
      let best: { readonly fromMs: number; readonly toMs: number; left: number } | undefined;
      for (const loss of losses.values()) {
        if (loss.left < 1 || !(loss.fromMs <= doneMs + slackMs && loss.toMs >= receivedMs - slackMs)) continue;
        // A long one may explain another call yet.
        if (best === undefined || loss.toMs - loss.fromMs < best.toMs - best.fromMs) best = loss;
      }
      if (best === undefined) return false;
      best.left -= 1;
      return true;
    },
  };
}
