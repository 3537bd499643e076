import type { ApiEvent } from './api-event.ts';
import { createBootEnds } from './boot-ends.ts';
import { createDeclaredLosses } from './declared-losses.ts';
import { type Line, text } from './entry.ts';
import { createHashTable } from './hash-table.ts';
import { createList, type Listed, ofEvent, ofRecord } from './mismatch.ts';
import { createPairing } from './pairing.ts';
import { inScope, type Scope } from './scope.ts';
import type { Span } from './spans.ts';

export interface Reconciliation {
  /** The time that both logs cover. */
  readonly from: string;
  readonly to: string;
  readonly events: number;
  /** Those that tell something: they name a call of ours, or a policy says whether they should. */
  readonly judged: number;
  /** Levels of the events, and how many of each. */
  readonly levels: Readonly<Record<string, number>>;
  /** All lines of ours. */
  readonly lines: number;
  readonly decisions: number;
  /** Calls that both logs know, by the same hash. */
  readonly known: number;
  /** The API server knows a call of which we have no record. */
  readonly missing: Listed;
  /** A record of a call that the API server does not know. */
  readonly unknown: Listed;
  /** Both know the call, by another hash: the record was changed. */
  readonly differs: Listed;
  /** A record of a call that got no answer, as the API server says itself: passed over, or the request refused for it. */
  readonly unanswered: Listed;
  readonly twice: Listed;
  readonly failedOpen: Listed;
  /** Went through in our scope, without a call. */
  readonly unseen: Listed;
  /** What the events do not show enough of: updates, and objects whose labels decide. */
  readonly unclear: Listed;
  /** Writes that went through without a call at a time of which no policy is known: nobody can say whether they were in scope. */
  readonly unscoped: number;
  /** Calls that our log declares as lost: as many as it counts. */
  readonly lost: number;
  /** More calls of one request than the API server keeps annotations for: a reinvocation, or a retry after a conflict. */
  readonly again: Listed;
  /** Answered with HTTP 500, of which the API server keeps no annotation. */
  readonly errors: number;
  readonly outside: { readonly decisions: number; readonly events: number };
  /** Of those, what was asked for but only one log has the time of: our decisions, and events that name calls of ours. */
  readonly uncovered: { readonly decisions: number; readonly events: number };
}

/** Reads our log and the API server's twice each, in the order of these members. Only hashes are kept, and what does not match. */
export interface Reconciler {
  /** 1: every line of our log. */
  record(line: Line): void;
  /** 2: every event. @param scope of the policy that was in force then; undefined where that is not known. */
  event(event: ApiEvent, scope: Scope | undefined): void;
  /** 3: our lines again. */
  recordAgain(line: Line): void;
  /** 4: the events again, which tells what became of records that none of them names. Not needed where `isClear`. */
  eventAgain(event: ApiEvent): void;
  isClear(): boolean;
  /** Last of all: pairs what is left. */
  report(): Reconciliation;
}

/**
 * @param within what else bounds the time that is compared.
 * @param expected how many records there will be, or somewhat more: memory for their hashes is taken at once.
 */
export function createReconciler(within: Span, expected: number): Reconciler {
  const hashes = createHashTable(expected);
  const ends = createBootEnds();
  const losses = createDeclaredLosses();
  const levels: Record<string, number> = {};
  const lists = {
    missing: createList(),
    unknown: createList(),
    twice: createList(),
    failedOpen: createList(),
    unseen: createList(),
    unclear: createList(),
    differs: createList(),
    unanswered: createList(),
    again: createList(),
    lost: createList(),
  };
  const counts = {
    events: 0,
    judged: 0,
    lines: 0,
    decisions: 0,
    known: 0,
    errors: 0,
    outsideDecisions: 0,
    outsideEvents: 0,
    unscoped: 0,
    uncoveredDecisions: 0,
    uncoveredEvents: 0,
  };
  let ours: Span = { fromMs: Number.POSITIVE_INFINITY, toMs: Number.NEGATIVE_INFINITY };
  let theirs = ours;

  const compares = (ms: number): boolean => ms >= within.fromMs && ms <= within.toMs;
  // Before our log begins nothing can be said; after its end everything can: it may have been cut off.
  const isCompared = ({ receivedMs, doneMs }: ApiEvent): boolean => doneMs >= ours.fromMs && compares(receivedMs);

  const call = (event: ApiEvent, hash: string, phase: string): void => {
    const { receivedMs, doneMs } = event;
    if (hashes.mark(hash)) counts.known += 1;
    else {
      const list = losses.explain(event) ? lists.lost : lists.missing;
      list.add(ofEvent(event, hash), phase, { span: { receivedMs, doneMs } });
    }
  };

  const pairing = createPairing(lists, ends);

  return {
    record(line) {
      const ms = Date.parse(line.header.time);
      if (!Number.isNaN(ms)) ours = { fromMs: Math.min(ours.fromMs, ms), toMs: Math.max(ours.toMs, ms) };
      counts.lines += 1;
      losses.see(line);
      ends.see(line);
      if (line.header.kind !== 'AdmissionRecord') return;
      if (!hashes.add(line.hash)) lists.twice.add(ofRecord(line), '');
    },
    event(event, scope) {
      theirs = { fromMs: Math.min(theirs.fromMs, event.receivedMs), toMs: Math.max(theirs.toMs, event.doneMs) };
      if (!isCompared(event)) {
        counts.outsideEvents += 1;
        const isElsewhere = namesCalls(event) && !event.calls.some(({ hash }) => hashes.has(hash));
        if (compares(event.receivedMs) && isElsewhere) counts.uncoveredEvents += 1;
        return;
      }
      counts.events += 1;
      if (namesCalls(event) || scope !== undefined) counts.judged += 1;
      levels[event.level] = (levels[event.level] ?? 0) + 1;
      for (const { hash, phase } of event.calls) call(event, hash, phase);
      if (event.failedOpen.length > 0) lists.failedOpen.add(ofEvent(event, event.failedOpen.join(', ')), '');
      const isSeen = event.calls.some(({ phase }) => phase === 'validate');
      if (isSeen || event.failedOpen.length > 0 || event.code < 200 || event.code > 299) return;
      if (scope === undefined) {
        if (judgedVerbs.has(event.verb)) counts.unscoped += 1;
        return;
      }
      const answer = inScope(event, scope);
      if (answer === 'in') lists.unseen.add(ofEvent(event, ''), '');
      if (answer === 'unknown') lists.unclear.add(ofEvent(event, event.level), '');
    },
    recordAgain(line) {
      if (line.header.kind !== 'AdmissionRecord') return;
      const ms = Date.parse(line.header.time);
      // A time that cannot be read puts a record outside of nothing.
      if (ms < theirs.fromMs || ms > theirs.toMs || (!Number.isNaN(ms) && !compares(ms))) {
        if (hashes.isMarked(line.hash)) return;
        counts.outsideDecisions += 1;
        if (compares(ms)) counts.uncoveredDecisions += 1;
        return;
      }
      counts.decisions += 1;
      if (hashes.isMarked(line.hash)) return;
      if (!Number.isNaN(ms) && text(line.value, 'decision') === 'error') counts.errors += 1;
      else lists.unknown.add(ofRecord(line), text(line.value, 'phase'), { boot: line.header.boot });
    },
    isClear: () => lists.unknown.size() === 0,
    eventAgain(event) {
      if (event.mayCallAgain) {
        for (const { hash, phase } of event.calls) if (hashes.has(hash)) pairing.further(event, phase);
      }
      if (isCompared(event)) for (const phase of event.unanswered) pairing.failure(event, phase);
    },
    report() {
      pairing.settle();
      return {
        from: isoOf(Math.max(ours.fromMs, theirs.fromMs, within.fromMs)),
        to: isoOf(Math.min(Math.max(ours.toMs, theirs.toMs), within.toMs)),
        ...{ events: counts.events, judged: counts.judged, levels, lines: counts.lines },
        ...{ decisions: counts.decisions, known: counts.known, unscoped: counts.unscoped },
        ...{ lost: lists.lost.size(), errors: counts.errors },
        outside: { decisions: counts.outsideDecisions, events: counts.outsideEvents },
        uncovered: { decisions: counts.uncoveredDecisions, events: counts.uncoveredEvents },
        missing: lists.missing.listed(),
        unknown: lists.unknown.listed(),
        differs: lists.differs.listed(),
        unanswered: lists.unanswered.listed(),
        twice: lists.twice.listed(),
        failedOpen: lists.failedOpen.listed(),
        unseen: lists.unseen.listed(),
        unclear: lists.unclear.listed(),
        again: lists.again.listed(),
      };
    },
  };
}

/** Of requests that change something: no webhook of ours is for others. */
const judgedVerbs: ReadonlySet<string> = new Set(['create', 'update', 'delete', 'connect']);

/** Whether the API server says of a request that it called our webhook. */
function namesCalls({ calls, unanswered }: ApiEvent): boolean {
  return calls.length > 0 || unanswered.length > 0;
}

function isoOf(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : '';
}
