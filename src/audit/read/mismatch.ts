import type { ApiEvent } from './api-event.ts';
import { type Line, object, type Place, text } from './entry.ts';

/** Something of one log that the other does not bear out. */
export interface Mismatch {
  readonly time: string;
  readonly user: string;
  readonly verb: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  /** Of the API server's event; empty for a record without one. */
  readonly auditId: string;
  /** Of our record; undefined for an event without one. */
  readonly place: Place | undefined;
  /** The hash in question, or the webhooks. */
  readonly detail: string;
}

/** A list that stays small: more are counted. */
export interface Listed {
  readonly count: number;
  readonly first: readonly Mismatch[];
}

/** Clocks of two machines: an event is received before, and complete after, the record's time, give or take this. */
export const slackMs = 2_000;

const maxListed = 1_000;

export interface ListEntry {
  readonly mismatch: Mismatch;
  readonly phase: string;
  /** Of an event: from when to when it was. */
  readonly span?: EventSpan;
  /** Of a record. */
  readonly boot?: string;
}

export type EventSpan = Pick<ApiEvent, 'receivedMs' | 'doneMs'>;

export interface List {
  add(mismatch: Mismatch, phase: string, more?: Pick<ListEntry, 'span' | 'boot'>): void;
  /** Takes the first one out that is meant. */
  take(isMeant: (entry: ListEntry) => boolean): ListEntry | undefined;
  /** Those that are kept. */
  entries(): readonly ListEntry[];
  size(): number;
  listed(): Listed;
}

export function createList(): List {
  const entries: ListEntry[] = [];
  let count = 0;
  return {
    add(mismatch, phase, more = {}) {
      count += 1;
      if (entries.length < maxListed) entries.push({ mismatch, phase, ...more });
    },
    take(isMeant) {
      const index = entries.findIndex(isMeant);
      if (index === -1) return undefined;
      count -= 1;
      return entries.splice(index, 1)[0];
    },
    entries: () => entries,
    size: () => count,
    listed: () => ({ count, first: entries.map(({ mismatch }) => mismatch) }),
  };
}

export function ofEvent(event: ApiEvent, detail: string): Mismatch {
  const { time, user, verb, resource, namespace, name, auditId } = event;
  return { time, user, verb, resource, namespace, name, auditId, place: undefined, detail };
}

export function ofRecord({ value, header, place, hash }: Line): Mismatch {
  const ref = object(value, 'objectRef');
  const subresource = text(ref, 'subresource');
  return {
    time: header.time,
    user: text(object(value, 'user'), 'username'),
    verb: text(value, 'verb'),
    resource: `${text(ref, 'resource')}${subresource === '' ? '' : `/${subresource}`}`,
    namespace: text(ref, 'namespace'),
    name: text(ref, 'name'),
    auditId: '',
    place,
    detail: hash,
  };
}

/** What tells one request from another in both logs. A user is what somebody may have changed. */
type Request = Pick<ApiEvent, 'verb' | 'resource' | 'namespace' | 'name'>;

/** Whether a record is of a call of this request. A name may be missing on either side: with generateName it comes late. */
export function isOf({ mismatch, phase }: ListEntry, request: Request, span: EventSpan, phaseOfCall: string): boolean {
  return (
    phase === phaseOfCall &&
    mismatch.verb === request.verb &&
    mismatch.resource === request.resource &&
    mismatch.namespace === request.namespace &&
    (mismatch.name === request.name || request.name === '' || mismatch.name === '') &&
    isDuring(Date.parse(mismatch.time), span)
  );
}

/** Whether something may have been while a request was under way. */
export function isDuring(ms: number, span: EventSpan): boolean {
  return distanceMs(ms, span) <= slackMs;
}

/** How far from a request something was; 0 while it was under way. */
export function distanceMs(ms: number, { receivedMs, doneMs }: EventSpan): number {
  return Math.max(0, receivedMs - ms, ms - doneMs);
}
