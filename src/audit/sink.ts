import { hash } from 'node:crypto';
import { closeSync, openSync, write } from 'node:fs';
import type { AuditRecord, AuditSink } from '../policy/model/record.ts';

/** Writes a chunk somewhere and calls back once it is there, or with what went wrong. */
export type WriteChunk = (chunk: string, done: (error: Error | null | undefined) => void) => void;

export interface LineSink extends AuditSink {
  /** Writes what is pending and waits until it is written or has failed. The sink takes nothing afterwards. */
  close(): Promise<void>;
}

export interface LineSinkOptions {
  readonly write: WriteChunk;
  /** Called with the number of records that are lost, and why. Records are never held back for a sink that fails. */
  readonly onLost: (records: number, why: string) => void;
  /** Most characters that may wait while one write is under way; more are lost and reported. Bounds the memory that a stuck disk can take. */
  readonly maxPending?: number;
  /**
   * How long records may gather before a write begins, in milliseconds; 0 = to the end of the event loop's turn. Under load a write a
   * request is a third of what a decision costs; a process that is killed loses at most this much more.
   */
  readonly lingerMs?: number;
}

const defaultLingerMs = 10;

/** Room for some 30,000 records of about 1 KB: half a minute at 1,000 decisions a second. */
const defaultMaxPending = 32 * 1024 * 1024;

/**
 * A sink that writes one JSON line per record. One write is under way at a time and takes everything that has gathered
 * meanwhile, so that a burst costs a few system calls and not one a record.
 */
export function createLineSink({
  write: writeChunk,
  onLost,
  maxPending = defaultMaxPending,
  lingerMs = defaultLingerMs,
}: LineSinkOptions): LineSink {
  let pending = '';
  let pendingRecords = 0;
  let scheduled = false;
  let writing = false;
  let closed: (() => void) | undefined;

  const flush = (): void => {
    scheduled = false;
    if (writing || pending === '') return;
    const chunk = pending;
    const records = pendingRecords;
    pending = '';
    pendingRecords = 0;
    writing = true;
    writeChunk(chunk, (error) => {
      writing = false;
      if (error) onLost(records, error.message);
      flush();
      if (!writing) closed?.();
    });
  };

  return {
    write(record: AuditRecord): string {
      const line = JSON.stringify(record);
      const digest = hash('sha256', line);
      if (closed !== undefined) {
        onLost(1, 'the sink is closed');
        return digest;
      }
      if (pending.length + line.length >= maxPending) {
        onLost(1, 'the sink is too slow: too many records are waiting');
        return digest;
      }
      pending += `${line}\n`;
      pendingRecords += 1;
      if (!scheduled && !writing) {
        scheduled = true;
        if (lingerMs === 0) setImmediate(flush);
        else setTimeout(flush, lingerMs);
      }
      return digest;
    },
    close: () =>
      new Promise((resolve) => {
        closed = resolve;
        flush();
        if (!writing) resolve();
      }),
  };
}

/** Readable by the owner only: records name users and objects. */
const auditFileMode = 0o600;

/** Opens a file to append to. Throws what open(2) says. */
export function openAuditFile(path: string): { readonly write: WriteChunk; close(): void } {
  const descriptor = openSync(path, 'a', auditFileMode);
  return {
    write(chunk, done) {
      writeAll(descriptor, Buffer.from(chunk), 0, done);
    },
    close: () => closeSync(descriptor),
  };
}

/** A write may take only a part of a chunk (a full disk): the rest is written, or its failure reported. */
function writeAll(descriptor: number, bytes: Buffer, from: number, done: (error: Error | null) => void): void {
  write(descriptor, bytes, from, bytes.length - from, null, (error, written) => {
    if (error !== null) done(error);
    else if (from + written < bytes.length) writeAll(descriptor, bytes, from + written, done);
    else done(null);
  });
}
