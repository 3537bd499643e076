import { canonicalOf } from '../canonical.ts';
import { hashOf } from '../chain.ts';
import { noHash } from '../line.ts';
import { type Break, type BreakKind, breakAt, type Hole, removedBreak } from './break.ts';
import { type Entry, isLine, type Line, number, object, placeText, text } from './entry.ts';

/** What to do about a line that does not follow the one before it. */
export type Verdict =
  | { readonly do: 'break'; readonly found: Break }
  /** Go on without it: it may be the copy of a line that comes later, or that line itself. */
  | { readonly do: 'pass over' }
  /** Go on with it: lines are missing before it, which a GapRecord may declare. */
  | { readonly do: 'go on'; readonly hole: Hole }
  /** The line before it was the first, and does not belong here. What it means if it belongs nowhere else either. */
  | { readonly do: 'begin again'; readonly otherwise: Break }
  /** Its sequence number has been before, or is one that is missing. */
  | { readonly do: 'place'; readonly line: Line };

export interface Suspicion {
  readonly before: Line;
  /** The line before `before`; undefined where that is the first of all. */
  readonly earlier: Line | undefined;
  /** Whether `before` is the first line of all. */
  readonly isFirst: boolean;
  readonly held: Entry;
  /** Undefined where `held` is the last line. */
  readonly next: Entry | undefined;
  /** Whether a line's place is behind: its boot has been, or lines like it are missing. */
  readonly isBehind: (line: Line) => boolean;
}

/** Whether a line is the next of the chain: of the same boot, or the first of another that links to it. */
export function follows({ header: a, hash }: Line, { header: x }: Line): boolean {
  if (x.previous !== hash) return false;
  if (x.boot === a.boot) return x.sequence === a.sequence + 1;
  return x.kind === 'LogStart' && x.sequence === 1;
}

/** A server that found no log. Nothing says what was there before. */
export function startsApart({ header, value }: Line): boolean {
  const { kind, sequence, previous } = header;
  return kind === 'LogStart' && sequence === 1 && previous === noHash && value.previousBoot === null;
}

/**
 * Tells which of two neighbours is wrong, by the line after them: a changed line no longer has the hash that the line after it names,
 * while a line that came or went leaves its neighbours as they were.
 */
export function classify(suspicion: Suspicion): Verdict {
  const { before, earlier, held, next } = suspicion;
  // A boot that links to nothing is taken as it comes; here the one before it goes on.
  if (startsApart(before) && earlier !== undefined && isLine(held) && follows(earlier, held)) {
    return broken('inserted', before, 'the lines around it are a chain without it');
  }
  if (next !== undefined && isLine(next)) {
    if (follows(before, next) || declaresAll(before, next)) return doesNotBelong(suspicion);
    if (startsApart(next) && !suspicion.isBehind(next)) return beforeAnother(suspicion, next);
    if (isLine(held) && (follows(held, next) || declaresAll(held, next))) return somethingBefore(suspicion, held);
  }
  return itself(suspicion);
}

/** The next line follows the one before: the chain is whole without this one. */
function doesNotBelong({ before, held, isBehind }: Suspicion): Verdict {
  if (!isLine(held)) return broken('inserted', held, 'the lines around it are a chain without it');
  const { boot, sequence } = held.header;
  const isEarlier = boot === before.header.boot ? sequence <= before.header.sequence : isBehind(held);
  return isEarlier ? { do: 'place', line: held } : { do: 'pass over' };
}

/** The next line begins a boot that links to nothing, and so says nothing of the two, unless this one is of that boot or none at all. */
function beforeAnother(suspicion: Suspicion, next: Line): Verdict {
  const { held } = suspicion;
  const isForeign = !isLine(held) || held.header.boot === next.header.boot;
  return isForeign ? doesNotBelong(suspicion) : itself({ ...suspicion, next: undefined });
}

/** The next line follows this one: it is whole, and something before it is wrong. */
function somethingBefore(suspicion: Suspicion, held: Line): Verdict {
  const { before, isFirst } = suspicion;
  const [{ header: a }, { header: s }] = [before, held];
  if (s.boot !== a.boot) return otherBoot(suspicion, held);
  if (s.sequence === a.sequence + 1) return broken('changed', before, 'the line after it names another hash');
  if (s.sequence === a.sequence && s.previous === a.previous) {
    return broken('inserted', before, `two lines claim this place; the chain goes on from ${placeText(held.place)}`);
  }
  if (s.sequence > a.sequence) return missingBefore(held, before);
  if (!isFirst) return { do: 'place', line: held };
  return { do: 'begin again', otherwise: breakAt('changed', before, 'its sequence number does not belong here') };
}

function otherBoot({ before, isFirst, isBehind }: Suspicion, held: Line): Verdict {
  const [{ header: a }, { header: s }] = [before, held];
  if (isBehind(held)) return { do: 'place', line: held };
  if (isStart(held)) {
    if (s.previous === a.previous) return broken('inserted', before, 'the next boot links to the line before it');
    return unlinked(held, before);
  }
  if (s.sequence === a.sequence + 1 && (isFirst || isStart(before)) && isOfBoot(before, s.boot, s.previous)) {
    return broken('changed', before, 'the line after it names another boot and hash');
  }
  const missing = missingBefore(held, before);
  return isFirst ? { do: 'begin again', otherwise: removedBreak(missing.hole) } : missing;
}

/** The next line fits neither, or there is none. */
function itself(suspicion: Suspicion): Verdict {
  const { before, held, next, isBehind } = suspicion;
  if (!isLine(held)) return broken('changed', held, noLine);
  const [{ header: a }, { header: s }] = [before, held];
  if (s.kind === 'LogStart' && s.sequence !== 1) {
    return broken(
      'changed',
      held,
      'a LogStart is the first line of its boot, and this one has another sequence number',
    );
  }
  if (s.previous === before.hash) {
    return broken(
      'changed',
      held,
      'it names the line before it, but its sequence number, boot or kind does not belong here',
    );
  }
  const after = next?.header;
  const isAhead = after?.boot === s.boot && after.sequence < s.sequence;
  if (s.boot !== a.boot) {
    if (isBehind(held)) return { do: 'place', line: held };
    if (after?.boot === a.boot && after.sequence === a.sequence + 2) {
      return broken('changed', held, 'it is of another boot than the lines around it');
    }
    const belongsAfter = isStart(held) && after?.boot === text(object(held.value, 'previousBoot'), 'boot');
    if (isAhead || belongsAfter) return broken('reordered', held, 'a line that belongs before it stands after it');
    return otherBoot(suspicion, held);
  }
  if (s.sequence === a.sequence + 1) {
    return after === undefined
      ? broken('changed', before, 'the last line names another hash: one of the two was changed')
      : broken('changed', held, 'it names another hash than that of the line before it');
  }
  if (s.sequence < a.sequence + 1) return { do: 'place', line: held };
  if (isAhead && after.sequence > a.sequence) {
    return broken('reordered', held, `line ${after.sequence}, which belongs before it, stands after it`);
  }
  return missingBefore(held, before);
}

/** Which of the two it is that do not link, the end of a boot or the start of the next. */
function unlinked(start: Line, before: Line): Verdict {
  const named = object(start.value, 'previousBoot');
  const [boot, sequence] = [text(named, 'boot'), number(named, 'sequence')];
  const { header: a } = before;
  if (start.header.previous !== text(named, 'hash')) {
    return broken('changed', start, 'it names two different lines as the one before it');
  }
  if (boot !== a.boot) {
    if (isOfBoot(before, boot, start.header.previous))
      return broken('changed', before, 'the next boot names another boot and hash');
    return broken('removed', start, `it goes on after boot ${boot}, which is not there: is a rotated file missing?`);
  }
  if (sequence === a.sequence) return broken('changed', before, 'the next boot names another hash');
  if (sequence < a.sequence) return broken('inserted', before, `the next boot goes on after line ${sequence}`);
  return { do: 'go on', hole: { boot, from: a.sequence + 1, to: sequence, at: start, after: before } };
}

export const noLine = 'this is no line of an audit log';

function missingBefore(held: Line, before: Line): Extract<Verdict, { readonly do: 'go on' }> {
  const { boot, sequence } = held.header;
  const from = boot === before.header.boot ? before.header.sequence + 1 : 1;
  return { do: 'go on', hole: { boot, from, to: sequence - 1, at: held, after: before } };
}

/** Whether a line would have the hash if its boot were another: then only its boot was changed. */
function isOfBoot({ value }: Line, boot: string, hash: string): boolean {
  const canonical = canonicalOf({ ...value, boot });
  return canonical !== undefined && hashOf(canonical) === hash;
}

/** Whether a line declares everything between it and the one before as lost: then nothing belongs there. */
function declaresAll({ header, hash }: Line, next: Line): boolean {
  if (next.header.kind !== 'GapRecord' || next.header.boot !== header.boot) return false;
  if (text(next.value, 'before') !== hash) return false;
  const first = number(next.value, 'firstSequence');
  return first === header.sequence + 1 && number(next.value, 'lost') === next.header.sequence - first;
}

function isStart({ header }: Line): boolean {
  return header.kind === 'LogStart' && header.sequence === 1;
}

function broken(kind: BreakKind, entry: Entry, message: string): Verdict {
  return { do: 'break', found: breakAt(kind, entry, message) };
}
