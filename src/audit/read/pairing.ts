import { clip } from '../../policy/kube/text.ts';
import type { ApiEvent } from './api-event.ts';
import type { BootEnds } from './boot-ends.ts';
import { distanceMs, isOf, type List, type ListEntry } from './mismatch.ts';

/** The lists that are paired: nothing is kept beside what they keep. */
export interface PairedLists {
  /** Records that no event names. */
  readonly unknown: List;
  /** Answers that the API server knows, without a record. */
  readonly missing: List;
  /** The same, from times in which the log declares that it lost some. */
  readonly lost: List;
  readonly differs: List;
  readonly unanswered: List;
  readonly again: List;
}

/** What became of records that no event names. */
export interface Pairing {
  /** An event of which the first call is known: the others of that request are its further ones. */
  further(event: ApiEvent, phase: string): void;
  /** An event of which a call got no answer. */
  failure(event: ApiEvent, phase: string): void;
  /** After all events. */
  settle(): void;
}

/** As long as a user's name is in a record. */
const maxUserLength = 253;

/**
 * A record that no event names is of a call without an answer, or was changed, and then the hash that it had is missing. Where it may be
 * either, the end of its boot decides: a server that is killed leaves calls without an answer. What the API server knows of an answer stays
 * named in both cases, so that a changed record is never explained away.
 */
export function createPairing(lists: PairedLists, ends: BootEnds): Pairing {
  /** Records that may be of a call without an answer, with the event that says so. */
  const failed = new Map<ListEntry, { readonly auditId: string; readonly isCutOff: boolean }>();

  const settleUnanswered = (isMeant: (found: { readonly isCutOff: boolean }) => boolean): void => {
    for (const [entry, found] of failed) {
      if (!isMeant(found) || lists.unknown.take((other) => other === entry) === undefined) continue;
      lists.unanswered.add({ ...entry.mismatch, auditId: found.auditId }, entry.phase);
    }
  };

  const settleDiffers = (list: List): void => {
    for (const entry of [...list.entries()]) {
      const { mismatch, phase, span } = entry;
      if (span === undefined) continue;
      const record = lists.unknown.take((other) => isOf(other, mismatch, span, phase));
      if (record === undefined) continue;
      list.take((other) => other === entry);
      lists.differs.add({ ...mismatch, place: record.mismatch.place }, phase);
    }
  };

  return {
    further(event, phase) {
      const take = () => lists.unknown.take((entry) => isOf(entry, event, event, phase));
      for (let record = take(); record !== undefined; record = take()) lists.again.add(record.mismatch, phase);
    },
    failure(event, phase) {
      const user = clip(event.user, maxUserLength);
      const meant = lists.unknown
        .entries()
        .filter((entry) => !failed.has(entry) && entry.mismatch.user === user && isOf(entry, event, event, phase))
        .map((entry) => ({
          entry,
          isCutOff: ends.isCutOffDuring(entry.boot ?? '', event),
          awayMs: distanceMs(Date.parse(entry.mismatch.time), event),
        }))
        // Two clocks may differ, but where no server was killed an answer is lost now and then at most.
        .filter(({ isCutOff, awayMs }) => isCutOff || awayMs === 0);
      const [best] = meant.sort((a, b) => Number(b.isCutOff) - Number(a.isCutOff) || a.awayMs - b.awayMs);
      if (best !== undefined) failed.set(best.entry, { auditId: event.auditId, isCutOff: best.isCutOff });
    },
    settle() {
      settleUnanswered(({ isCutOff }) => isCutOff);
      settleDiffers(lists.missing);
      settleDiffers(lists.lost);
      settleUnanswered(() => true);
    },
  };
}
