import { noHash } from '../line.ts';
import { type Break, breakAt, type Hole, holds, removedBreak } from './break.ts';
import { classify, follows, noLine, startsApart } from './classify.ts';
import { type Entry, isLine, type Line, number, object, placeText, text } from './entry.ts';

/**
 * Follows the chain of one replica, line by line, and says where it breaks first and how. A line that does not follow is held until the
 * next one shows which of the two neighbours is wrong.
 */
export interface ChainCheck {
  /** @returns the break, once there is one; nothing is checked after it. */
  feed(entry: Entry): Break | undefined;
  end(): Break | undefined;
}

/** @param accept is called for each line that is in its place, in order. @returns what is wrong with the line itself, if anything is. */
export function createChainCheck(accept: (line: Line, before: Line | undefined) => Break | undefined): ChainCheck {
  /** The last line that is in its place. */
  let last: Line | undefined;
  /** The one before it. */
  let earlier: Line | undefined;
  let suspect: Entry | undefined;
  /** A line that was passed over: a copy, or one that is missing where it belongs. */
  let stray: Line | undefined;
  /** What it means if it belongs nowhere. */
  let strayMeans: Break | undefined;
  let holes: Hole[] = [];
  /** A GapRecord that names another line than the one before the hole: unless the next line shows that it is itself the changed one. */
  let doubt: Break | undefined;
  /** First line of each boot so far. */
  const boots = new Map<string, Line>();
  let found: Break | undefined;

  const fail = (problem: Break, about?: Hole): void => {
    // A hole that nothing has declared so far came first.
    const open = holes.find((hole) => hole.after !== undefined && hole !== about);
    found ??= open === undefined ? problem : removedBreak(open);
  };

  /** What is not declared by the end of a boot was taken away. What came before the log begins is not its own. */
  const settleHoles = (): void => {
    const open = holes.find(({ after }) => after !== undefined);
    if (open !== undefined) fail(removedBreak(open));
    holes = holes.filter(({ after }) => after === undefined);
  };

  const settleDoubt = (): void => {
    if (doubt !== undefined) fail(doubt);
    doubt = undefined;
  };

  const take = (line: Line): void => {
    settleDoubt();
    const { boot, sequence, kind } = line.header;
    if (last !== undefined && boot !== last.header.boot) {
      settleHoles();
      if (stray !== undefined && isNext(stray, last)) fail(breakAt('reordered', stray, atEnd));
      const early = boots.get(boot);
      if (early !== undefined) fail(breakAt('inserted', early, `its boot comes after it, at ${placeText(line.place)}`));
    }
    if (stray?.header.boot === boot && stray.header.sequence === sequence) {
      fail(breakAt('inserted', stray, `this line stands again where it belongs, at ${placeText(line.place)}`));
    }
    if (kind === 'GapRecord') {
      const declared = declaredBy(line, holes);
      doubt = wrongBefore(line, declared);
      holes = holes.filter((hole) => !declared.includes(hole));
    }
    if (!boots.has(boot)) boots.set(boot, line);
    const before = last;
    earlier = before;
    last = line;
    const wrong = accept(line, before);
    if (wrong !== undefined) fail(wrong);
  };

  const begin = (line: Line): void => {
    const { boot, sequence, kind } = line.header;
    if (kind === 'LogStart' && sequence !== 1) {
      fail(breakAt('changed', line, 'a LogStart is the first line of its boot'));
    }
    const earlier = object(line.value, 'previousBoot');
    if (sequence > 1) holes.push({ boot, from: 1, to: sequence - 1, at: line, after: undefined });
    else
      holes.push({ boot: text(earlier, 'boot'), from: 1, to: number(earlier, 'sequence'), at: line, after: undefined });
    take(line);
  };

  const isBehind = (line: Line): boolean => boots.has(line.header.boot) || holes.some((hole) => holds(hole, line));

  const addHole = (hole: Hole): void => {
    if (stray !== undefined && holds(hole, stray)) {
      fail(breakAt('reordered', stray, `this line belongs before ${placeText(hole.at.place)}`));
    }
    holes.push(hole);
    // A boot of which the beginning is missing: no GapRecord speaks of a LogStart.
    if (hole.from === 1) settleHoles();
  };

  const place = (line: Line): void => {
    const hole = holes.find((candidate) => holds(candidate, line));
    if (hole === undefined) {
      fail(breakAt('inserted', line, 'a line with this sequence number stands before it already'));
    } else {
      const where = `line ${line.header.sequence}, which belongs before it, stands at ${placeText(line.place)}`;
      fail(breakAt('reordered', stray ?? hole.at, where), hole);
    }
  };

  /** Decides about the line that is held, with the next one in sight. */
  const settle = (held: Entry, before: Line, next: Entry | undefined): void => {
    const verdict = classify({ before, earlier, isFirst: earlier === undefined, held, next, isBehind });
    if (verdict.do === 'break') fail(verdict.found);
    else if (verdict.do === 'place') place(verdict.line);
    else if (verdict.do === 'pass over' && isLine(held)) {
      if (stray !== undefined) fail(breakAt('inserted', stray, nowhere));
      stray = held;
    } else if (verdict.do === 'go on') {
      addHole(verdict.hole);
      take(verdict.hole.at);
    } else if (verdict.do === 'begin again' && isLine(held)) {
      stray = before;
      strayMeans = verdict.otherwise;
      holes = [];
      boots.clear();
      last = undefined;
      begin(held);
    }
  };

  const step = (entry: Entry): void => {
    if (entry.torn) {
      fail(breakAt('truncated', entry, 'the file ends within this line: it was cut off, or is being written'));
    } else if (last === undefined) {
      if (!isLine(entry)) suspect ??= entry;
      else if (suspect === undefined) begin(entry);
      else fail(breakAt(entry.header.previous === noHash ? 'inserted' : 'changed', suspect, noLine));
    } else if (suspect !== undefined) {
      const held = suspect;
      suspect = undefined;
      settle(held, last, entry);
      if (found === undefined) step(entry);
    } else if (isLine(entry) && (follows(last, entry) || (startsApart(entry) && !isBehind(entry)))) take(entry);
    else suspect = entry;
  };

  return {
    feed(entry) {
      if (found === undefined) step(entry);
      return found;
    },
    end() {
      if (found === undefined && suspect !== undefined) {
        if (last === undefined) fail(breakAt('changed', suspect, noLine));
        else settle(suspect, last, undefined);
      }
      settleDoubt();
      if (found === undefined && stray !== undefined) fail(strayAtEnd(stray, last, strayMeans));
      settleHoles();
      return found;
    },
  };
}

const nowhere = 'it belongs nowhere in this chain';

const atEnd = 'this line belongs at the end of its boot';

function isNext({ header: stray }: Line, { header: last }: Line): boolean {
  return last.boot === stray.boot && last.sequence + 1 === stray.sequence;
}

/** Missing at the very end, or belonging nowhere. */
function strayAtEnd(stray: Line, last: Line | undefined, otherwise: Break | undefined): Break {
  if (last !== undefined && isNext(stray, last)) return breakAt('reordered', stray, atEnd);
  return otherwise ?? breakAt('inserted', stray, nowhere);
}

/** The holes that a GapRecord declares, in order: it must count exactly what is missing between its first and last line. */
function declaredBy({ header, value }: Line, holes: readonly Hole[]): readonly Hole[] {
  const [first, lastLost] = [number(value, 'firstSequence'), number(value, 'lastSequence')];
  const inside = holes.filter(({ boot, from, to }) => boot === header.boot && from >= first && to <= lastLost);
  const missing = inside.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  return missing === number(value, 'lost') ? inside : [];
}

/** The line that named the hash of the one before a hole is lost; the GapRecord names it instead. */
function wrongBefore(gap: Line, declared: readonly Hole[]): Break | undefined {
  const first = declared.find(({ from }) => from === number(gap.value, 'firstSequence'));
  if (first?.after === undefined || text(gap.value, 'before') === first.after.hash) return undefined;
  const where = placeText(gap.place);
  return breakAt('changed', first.after, `the record of the lines lost after it, ${where}, names another hash`);
}
