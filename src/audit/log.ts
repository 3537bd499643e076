import { clip } from '../policy/kube/text.ts';
import type { AuditRecord, AuditSink, Written } from '../policy/model/record.ts';
import { type ChainState, hashOf, type Link, link, linkCheckpoint } from './chain.ts';
import {
  type CallerVerification,
  type Fsync,
  type LineBody,
  type LogStart,
  noHash,
  type OnError,
  type SinkName,
} from './line.ts';
import type { SigningKey } from './signing.ts';
import { createLineQueue, type LineQueue, type Output } from './sinks/queue.ts';
import type { FoundTail } from './tail.ts';

export interface AuditLogOptions {
  readonly cluster: string;
  readonly replica: string;
  readonly boot: string;
  /** Of this program. */
  readonly version: string;
  readonly sinks: readonly { readonly name: SinkName; readonly output: Output }[];
  /** What the file held at the start: the chain is linked to its last line. */
  readonly found?: FoundTail;
  readonly fsync: Fsync;
  readonly onError: OnError;
  readonly callerVerification: CallerVerification;
  /** Undefined: no checkpoints. */
  readonly key: SigningKey | undefined;
  /** A checkpoint after so many lines at the latest. */
  readonly checkpointRecords: number;
  /** And after so long, where there is something to sign. */
  readonly checkpointIntervalMs: number;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
  /** Told of lines that one sink does not have. */
  readonly onLost: (sink: SinkName, lines: number, why: string) => void;
  /** Told when that sink has taken lines again. */
  readonly onWorking: (sink: SinkName, lost: number) => void;
  readonly maxPending?: number;
  readonly lingerMs?: number;
}

export interface AuditLog extends AuditSink {
  /** Adds a line of another kind; nobody waits for it. */
  note(
    body: Exclude<LineBody, { kind: 'AdmissionRecord' | 'LogStart' | 'LogStop' | 'GapRecord' | 'Checkpoint' }>,
  ): void;
  /** Whether the last lines of some sink could not be written. */
  failing(): boolean;
  /**
   * Ends the log in order: LogStop, a checkpoint, and everything written.
   * @param withinMs a sink that has not taken all of it by then is given up, and what it lacks is lost.
   * @returns false where one was: a system call of its is still under way.
   */
  stop(signal: string, withinMs: number): Promise<boolean>;
}

/** An error that kept the server from starting may quote a file. */
const maxSignalLength = 1_000;

const defaultLingerMs = 10;

/** Room for some 30,000 records of about 1 KB: half a minute at 1,000 decisions a second. */
const defaultMaxPending = 32 * 1024 * 1024;

/** Longest wait for a disk where a line need not be there; after it, answers wait for it no more until it has answered. */
const patienceMs = 1_000;

/**
 * The audit log of one boot: makes each line, in order, and sends it to every sink. Each sink fails for itself: lines that it does not
 * have keep their place in the chain, and a GapRecord tells of them once it works again.
 */
export function startAuditLog(options: AuditLogOptions): AuditLog {
  const { found, fsync, onError, key, now, onLost, onWorking } = options;
  const { cluster, replica, boot, version } = options;
  let records = 0;
  let stopped = false;
  /** Sequence number of the last checkpoint. */
  let signedAt = 0;
  const previous = found?.lastLine === undefined ? noHash : hashOf(found.lastLine);
  let state: ChainState = { cluster, replica, boot, sequence: 0, previous };

  const timeNow = (): string => new Date(now()).toISOString();
  const send = (added: Link, time: string): void => {
    const { previous } = state;
    state = added.next;
    const line = { text: `${added.line}\n`, sequence: state.sequence, time, previous };
    for (const queue of queues) queue.take(line);
  };
  const sign = (): void => {
    if (key === undefined || state.sequence === signedAt) return;
    const time = timeNow();
    send(linkCheckpoint(state, key, time), time);
    signedAt = state.sequence;
  };
  const add = (body: LineBody): string => {
    const added = link(state, body);
    send(added, body.time);
    if (state.sequence - signedAt >= options.checkpointRecords) sign();
    return added.hash;
  };
  const tell = (queue: LineQueue): void => {
    for (const gap of queue.untold()) {
      // Before the line is sent: a queue that is full loses it at once.
      gap.toldAt = state.sequence + 1;
      const { toldAt: _, ...rest } = gap;
      add({ kind: 'GapRecord', time: timeNow(), sink: queue.name, ...rest });
    }
  };
  const queues: readonly LineQueue[] = options.sinks.map(({ name, output }) => {
    const queue: LineQueue = createLineQueue({
      name,
      output,
      maxPending: options.maxPending ?? defaultMaxPending,
      // Whoever waits for a line should not wait for others to come.
      lingerMs: options.lingerMs ?? (waitsFor({ name, fsync, onError }) ? 0 : defaultLingerMs),
      onLost: (lines, why) => onLost(name, lines, why),
      onWorking: () => {
        if (stopped) return;
        onWorking(
          name,
          queue.untold().reduce((sum, { lost }) => sum + lost, 0),
        );
        tell(queue);
      },
    });
    return queue;
  });
  const awaited = queues.filter(({ name }) => waitsFor({ name, fsync, onError }));
  const waitUntil = createWait(awaited, onError);

  add({
    kind: 'LogStart',
    time: timeNow(),
    version,
    previousBoot: previousBootOf(found?.lastLine),
    publicKey: key?.publicKey ?? '',
    keyId: key?.keyId ?? '',
    settings: { fsync, onError, callerVerification: options.callerVerification, sinks: queues.map(({ name }) => name) },
    tornTail: found?.tornTail ?? null,
  });
  const timer = key === undefined ? undefined : setInterval(sign, options.checkpointIntervalMs);
  timer?.unref();

  return {
    write(record: AuditRecord, deadlineMs: number): Written {
      records += 1;
      const hash = add(record);
      return awaited.length === 0 ? { hash } : { hash, until: waitUntil(deadlineMs) };
    },
    note: (body) => void add(body),
    failing: () => queues.some((queue) => queue.failing()),
    async stop(signal, withinMs) {
      if (stopped) return true;
      stopped = true;
      const endsMs = performance.now() + withinMs;
      clearInterval(timer);
      // So that what is lost can be told; a sink that stands still must not keep the last lines from the other.
      await within(Math.min(patienceMs, withinMs), Promise.all(queues.map((queue) => queue.drained())));
      for (const queue of queues) tell(queue);
      add({ kind: 'LogStop', time: timeNow(), signal: clip(signal, maxSignalLength), records });
      sign();
      const closing = queues.map(async (queue, i) => {
        await queue.close();
        await options.sinks[i]?.output.close();
      });
      if (await within(endsMs - performance.now(), Promise.all(closing))) return true;
      for (const queue of queues) queue.abandon('the sink did not take it before the end');
      return false;
    },
  };
}

/** Waits, but no longer than this. @returns whether it came. */
async function within(ms: number, awaited: Promise<unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, Math.max(0, ms), false);
  return Promise.race([awaited.then(() => true), promise]).finally(() => clearTimeout(timer));
}

/** Whether an answer waits for its line in a sink: under `deny` in each, under fsync `always` in the one that has a disk. */
function waitsFor({ name, fsync, onError }: { name: SinkName; fsync: Fsync; onError: OnError }): boolean {
  return onError === 'deny' || (fsync === 'always' && name === 'file');
}

/** Waits for the line taken last, within a deadline. Resolves with why the answer may not go out. */
function createWait(
  queues: readonly LineQueue[],
  onError: OnError,
): (deadlineMs: number) => Promise<string | undefined> {
  let late = false;
  return (deadlineMs) => {
    if (onError === 'continue' && late) return Promise.resolve(undefined);
    const ms = onError === 'deny' ? deadlineMs : Math.min(deadlineMs, patienceMs);
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => {
          late = true;
          resolve(onError === 'deny' ? 'it was not written in time' : undefined);
        },
        Math.max(0, ms),
      );
      void Promise.all(queues.map((queue) => queue.settled())).then((results) => {
        clearTimeout(timer);
        late = false;
        resolve(onError === 'deny' ? results.find((why) => why !== undefined) : undefined);
      });
    });
  };
}

/** A log may begin with lines of a version that knew no chain. */
function previousBootOf(lastLine: Buffer | undefined): LogStart['previousBoot'] {
  if (lastLine === undefined) return null;
  try {
    const { boot, sequence }: Readonly<Record<string, unknown>> = Object(JSON.parse(lastLine.toString('utf8')));
    if (typeof boot !== 'string' || !/^[0-9a-f]{32}$/.test(boot) || !Number.isSafeInteger(sequence)) return null;
    return { boot, sequence: Number(sequence), hash: hashOf(lastLine) };
  } catch {
    return null;
  }
}
