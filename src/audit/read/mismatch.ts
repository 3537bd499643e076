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
}

export interface List {
  add(mismatch: Mismatch, phase: string): void;
  /** Takes the first one out that is meant. */
  take(isMeant: (entry: ListEntry) => boolean): ListEntry | undefined;
  size(): number;
  listed(): Listed;
}

export function createList(): List {
  const entries: ListEntry[] = [];
  let count = 0;
  return {
    add(mismatch, phase) {
      count += 1;
      if (entries.length < maxListed) entries.push({ mismatch, phase });
    },
    take(isMeant) {
      const index = entries.findIndex(isMeant);
      if (index === -1) return undefined;
      count -= 1;
      return entries.splice(index, 1)[0];
    },
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

/** Whether a record is of a call of this request. A name may be missing on either side: with generateName it comes late. */
export function isOf({ mismatch, phase }: ListEntry, event: ApiEvent, eventPhase: string): boolean {
  const ms = Date.parse(mismatch.time);
  return (
    phase === eventPhase &&
    mismatch.verb === event.verb &&
    mismatch.resource === event.resource &&
    mismatch.namespace === event.namespace &&
    (mismatch.name === event.name || event.name === '' || mismatch.name === '') &&
    ms >= event.receivedMs - slackMs &&
    ms <= event.doneMs + slackMs
  );
}
