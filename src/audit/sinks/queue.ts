import type { SinkName } from '../line.ts';

/** How a write ended: all lines are there, or only the first `lines` of them, and why. */
export type WrittenLines = { readonly lines?: undefined } | { readonly lines: number; readonly error: string };

/** Where whole lines go. */
export interface Output {
  /** Never rejects. Asked again only when it has answered. */
  write(text: string): Promise<WrittenLines>;
  close(): Promise<void>;
}

/** A line as it waits. */
export interface QueuedLine {
  /** With its line break. */
  readonly text: string;
  readonly sequence: number;
  readonly time: string;
  /** Hash of the line before. */
  readonly previous: string;
}

/** A run of lines that the sink does not have. */
export interface Gap {
  lost: number;
  firstSequence: number;
  lastSequence: number;
  /** Hash of the line before the first. */
  before: string;
  from: string;
  to: string;
  readonly why: string;
  /** Of the GapRecord that tells of it, while that is on its way. */
  toldAt: number | undefined;
}

export interface LineQueueOptions {
  readonly name: SinkName;
  readonly output: Output;
  /** Most characters that may wait while one write is under way; more are lost. Bounds the memory that a stuck disk can take. */
  readonly maxPending: number;
  /**
   * How long lines may gather before a write begins, in milliseconds; 0 = to the end of the event loop's turn. Under load a write a
   * request is a third of what a decision costs; a process that is killed loses at most this much more.
   */
  readonly lingerMs: number;
  readonly onLost: (lines: number, why: string) => void;
  /** Called when lines were written while a gap was not told of yet. */
  readonly onWorking: () => void;
}

export interface LineQueue {
  readonly name: SinkName;
  take(line: QueuedLine): void;
  /** Resolves when the last line taken is there, or with why it is lost. */
  settled(): Promise<string | undefined>;
  /** Resolves when the lines that wait now are there or lost. */
  drained(): Promise<unknown>;
  /** What must still be told. */
  untold(): readonly Gap[];
  /** Whether the last lines could not be written. */
  failing(): boolean;
  /** Writes what is pending and waits until it is written or has failed; takes nothing afterwards. */
  close(): Promise<void>;
  /** Gives up the lines that wait and those of the write that does not end: whether these are there nobody knows. They count as lost. */
  abandon(why: string): void;
}

/** Beyond this many runs of lost lines the last one takes the next ones in, so that a disk that comes and goes costs no memory. */
const maxGaps = 16;

interface Batch {
  readonly lines: QueuedLine[];
  size: number;
  settled: PromiseWithResolvers<string | undefined> | undefined;
}

const emptyBatch = (): Batch => ({ lines: [], size: 0, settled: undefined });

/**
 * The lines on their way to one sink. One write is under way at a time and takes everything that has gathered meanwhile, so that a burst
 * costs a few system calls, and a few fsyncs, and not one a line. Remembers which lines are lost until that has been told.
 */
export function createLineQueue(options: LineQueueOptions): LineQueue {
  const { name, output, maxPending, lingerMs, onLost, onWorking } = options;
  let pending = emptyBatch();
  let writing: Batch | undefined;
  let scheduled = false;
  let closed: (() => void) | undefined;
  let abandoned = false;
  /** Lines are lost until the pending ones are on their way: what is lost is one run. */
  let overflowing: string | undefined;
  let lastLoss: string | undefined;
  const gaps: Gap[] = [];

  const lose = (lines: readonly QueuedLine[], why: string): void => {
    const [first, last] = [lines[0], lines.at(-1)];
    if (first === undefined || last === undefined) return;
    lastLoss = why;
    // A GapRecord that is lost itself has told nothing.
    for (const gap of gaps) {
      if (gap.toldAt !== undefined && gap.toldAt >= first.sequence && gap.toldAt <= last.sequence)
        gap.toldAt = undefined;
    }
    const open = gaps.at(-1);
    const adjoins = open !== undefined && open.lastSequence + 1 === first.sequence;
    if (open !== undefined && open.toldAt === undefined && (adjoins || gaps.length >= maxGaps)) {
      open.lost += lines.length;
      if (first.sequence < open.firstSequence) {
        Object.assign(open, { firstSequence: first.sequence, before: first.previous, from: first.time });
      }
      if (last.sequence > open.lastSequence) Object.assign(open, { lastSequence: last.sequence, to: last.time });
    } else {
      gaps.push({
        lost: lines.length,
        firstSequence: first.sequence,
        lastSequence: last.sequence,
        before: first.previous,
        from: first.time,
        to: last.time,
        why,
        toldAt: undefined,
      });
    }
    onLost(lines.length, why);
  };

  const finish = (batch: Batch, result: WrittenLines): void => {
    const there = result.lines ?? batch.lines.length;
    const last = batch.lines[there - 1]?.sequence;
    if (last !== undefined) {
      // Batches are written in order, so what was told at or before the last line there is told.
      for (let i = gaps.length - 1; i >= 0; i--) if ((gaps[i]?.toldAt ?? Infinity) <= last) gaps.splice(i, 1);
    }
    if (result.lines === undefined) lastLoss = undefined;
    else lose(batch.lines.slice(there), result.error);
    batch.settled?.resolve(result.lines === undefined ? undefined : result.error);
    if (result.lines === undefined && gaps.some(({ toldAt }) => toldAt === undefined)) onWorking();
  };

  const flush = (): void => {
    scheduled = false;
    if (abandoned) return;
    if (writing !== undefined) return;
    if (pending.lines.length === 0) {
      closed?.();
      return;
    }
    const batch = pending;
    pending = emptyBatch();
    overflowing = undefined;
    writing = batch;
    void output.write(batch.lines.map(({ text }) => text).join('')).then((result) => {
      if (abandoned) return;
      writing = undefined;
      finish(batch, result);
      flush();
    });
  };

  const lastSettled = (): Promise<string | undefined> => {
    if (pending.lines.length > 0) return settledOf(pending);
    return writing === undefined ? Promise.resolve(lastLoss) : settledOf(writing);
  };

  return {
    name,
    take(line) {
      if (closed !== undefined) return lose([line], 'the sink is closed');
      if (overflowing === undefined && pending.size + line.text.length > maxPending) {
        overflowing = 'the sink is too slow: too many lines are waiting';
      }
      if (overflowing !== undefined) return lose([line], overflowing);
      pending.lines.push(line);
      pending.size += line.text.length;
      if (!scheduled && writing === undefined) {
        scheduled = true;
        if (lingerMs === 0) setImmediate(flush);
        else setTimeout(flush, lingerMs);
      }
    },
    settled: () => (overflowing === undefined ? lastSettled() : Promise.resolve(overflowing)),
    drained: lastSettled,
    untold: () => gaps.filter(({ toldAt }) => toldAt === undefined),
    failing: () => lastLoss !== undefined,
    close: () =>
      new Promise((resolve) => {
        closed = resolve;
        flush();
      }),
    abandon(why) {
      abandoned = true;
      const given = [writing ?? emptyBatch(), pending];
      pending = emptyBatch();
      lose(
        given.flatMap(({ lines }) => lines),
        why,
      );
      for (const { settled } of given) settled?.resolve(why);
      closed?.();
      closed ??= () => undefined;
    },
  };
}

function settledOf(batch: Batch): Promise<string | undefined> {
  batch.settled ??= Promise.withResolvers();
  return batch.settled.promise;
}
