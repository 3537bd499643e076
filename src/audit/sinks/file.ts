import { randomBytes } from 'node:crypto';
import { basename, dirname, extname, join } from 'node:path';
import { type FileOperations, messageOf, writeAll } from '../file-operations.ts';
import type { Fsync } from '../line.ts';
import { type FoundTail, findTail, keepAside } from '../tail.ts';
import type { Output, WrittenLines } from './queue.ts';
import { rotatedAtMs, rotatedFiles, rotatedName, tidy } from './rotated.ts';

export type FileFault = 'mend' | 'sync' | 'rotate' | 'compress' | 'remove' | 'shared' | 'mode';

export interface FileOutputOptions {
  readonly path: string;
  readonly operations: FileOperations;
  readonly fsync: Fsync;
  /** With fsync `interval`: how often. */
  readonly syncIntervalMs: number;
  /** A file that would become larger is left behind under another name; 0 = never. */
  readonly maxBytes: number;
  /** So is one that is older; 0 = never. */
  readonly maxAgeMs: number;
  /** Most files left behind that are kept; 0 = all. */
  readonly keep: number;
  readonly compress: boolean;
  /** How long what was seen of the file stands before it is looked at again: a look costs more than a write. */
  readonly lookIntervalMs: number;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
  /** Told of what failed that lost no line. */
  readonly onFault: (operation: FileFault, why: string) => void;
  /** Told when somebody else was at the file, and lines go on in another one. */
  readonly onMoved: (move: { readonly from: string; readonly to: string; readonly why: string }) => void;
}

export interface FileOutput extends Output {
  readonly found: FoundTail;
}

/** After a rotation that failed. */
const rotateAgainMs = 60_000;

/**
 * Opens an audit file to append to, alone: where somebody else has written to it, cut it, moved it or taken it away, nothing more is written
 * there, and the log goes on in a file of its own. That is seen before a write, at most `lookIntervalMs` late, since no lock would hold for every volume
 * and outlive no crash. Every line is there whole or not at all: what a failing write leaves is cut off, and what a writer
 * that was cut off has left is kept aside, before anything else is written. Where that cannot be done, every write fails until it can.
 * @throws what open(2) and read(2) say.
 */
export async function openFileOutput(options: FileOutputOptions): Promise<FileOutput> {
  const { operations, fsync, maxBytes, maxAgeMs, now, onFault, onMoved } = options;
  let { path } = options;
  let descriptor = await operations.open(path);
  const found = await findTail(operations, descriptor, path, now());
  const opened = await operations.stat(descriptor);
  const { regular } = opened;
  if (regular) await operations.closeToOthers(descriptor).catch((error: unknown) => onFault('mode', messageOf(error)));
  let { birthMs } = opened;
  let torn = found.tornTail;
  let size = opened.size - (torn?.bytes ?? 0);
  let lastRotatedMs = 0;
  let rotateFromMs = 0;
  let dirty = false;
  let lookedMs = Number.NEGATIVE_INFINITY;
  /** At most so many bytes of ours stand in the file beyond `size`: no whole line, or not known to be on the disk. */
  let spoilt = 0;
  const keeping = { operations, keep: options.keep, compress: options.compress, onFault };
  let tidying = Promise.resolve();
  const tidySoon = (): void => {
    tidying = tidying.then(() => tidy(path, keeping));
  };
  if (regular) {
    const rotated = rotatedFiles(path, await operations.list(dirname(path)));
    lastRotatedMs = Math.max(0, ...rotated.map((name) => rotatedAtMs(path, name)));
    if (rotated.length > 0) tidySoon();
  }

  const mend = async (): Promise<void> => {
    if (torn !== null) await keepAside(operations, descriptor, torn);
    torn = null;
  };
  const cutBack = async (): Promise<void> => {
    if (!regular || spoilt === 0) return;
    const { size: found } = await operations.stat(descriptor);
    // Never longer: that would fill the file with zeros. And no line of somebody else, which the next write will see.
    if (found > size && found <= size + spoilt) await operations.truncate(descriptor, size);
    if (found <= size + spoilt) spoilt = 0;
  };
  /** What somebody else has done to the file since the last write; empty: nothing. */
  const touched = async (): Promise<string> => {
    // A clock that was set back is no reason not to look.
    if (!regular || (now() >= lookedMs && now() < lookedMs + options.lookIntervalMs)) return '';
    lookedMs = now();
    const [{ size: found, identity }, named] = await Promise.all([
      operations.stat(descriptor),
      operations.identityOf(path),
    ]);
    const left = size + (torn?.bytes ?? 0);
    if (named === '') return 'it was taken away';
    if (named !== undefined && named !== identity) return 'another file has its name';
    if (found < left) return `it was cut from ${left} to ${found} bytes`;
    return found > left + spoilt ? `somebody else has written ${found - left - spoilt} bytes to it` : '';
  };
  if ((await touched()) === '') await mend().catch((error: unknown) => onFault('mend', messageOf(error)));
  const leave = async (why: string): Promise<void> => {
    const to = ownName(options.path);
    const fresh = await operations.open(to);
    const [from, old] = [path, descriptor];
    path = to;
    descriptor = fresh;
    size = 0;
    birthMs = now();
    torn = null;
    spoilt = 0;
    onFault('shared', why);
    onMoved({ from, to, why });
    try {
      if (dirty && fsync !== 'none') await operations.sync(old);
      if (fsync !== 'none') await operations.syncFolderOf(to);
    } catch (error) {
      onFault('sync', messageOf(error));
    }
    dirty = false;
    await operations.close(old).catch(() => undefined);
  };
  const isDue = (more: number): boolean => {
    if (!regular || size === 0 || now() < rotateFromMs) return false;
    return (maxBytes > 0 && size + more > maxBytes) || (maxAgeMs > 0 && now() - birthMs >= maxAgeMs);
  };
  const rotate = async (): Promise<void> => {
    // Two within a millisecond, or a clock that was set back, must not change the order of the names.
    const stampMs = Math.max(now(), lastRotatedMs + 1);
    const target = rotatedName(path, stampMs);
    let renamed = false;
    try {
      if (fsync !== 'none') await operations.sync(descriptor);
      await operations.rename(path, target);
      renamed = true;
      const fresh = await operations.open(path);
      const old = descriptor;
      descriptor = fresh;
      size = 0;
      birthMs = now();
      dirty = false;
      lastRotatedMs = stampMs;
      await operations.close(old);
      if (fsync !== 'none') await operations.syncFolderOf(path);
      tidySoon();
    } catch (error) {
      rotateFromMs = now() + rotateAgainMs;
      onFault('rotate', messageOf(error));
      // The old file goes on, under its own name.
      if (renamed && lastRotatedMs !== stampMs) {
        await operations.rename(target, path).catch((failure: unknown) => onFault('rotate', messageOf(failure)));
      }
    }
  };

  const write = async (text: string): Promise<WrittenLines> => {
    const bytes = Buffer.from(text);
    try {
      const why = await touched();
      if (why !== '') await leave(why);
      await mend();
      await cutBack();
    } catch (error) {
      return { lines: 0, error: messageOf(error) };
    }
    if (isDue(bytes.length)) await rotate();
    const { written, error } = await writeAll((rest) => operations.write(descriptor, rest), bytes);
    const whole = error === undefined ? bytes.length : bytes.subarray(0, written).lastIndexOf(0x0a) + 1;
    const before = size;
    size += whole;
    dirty = true;
    if (error !== undefined) {
      // What a write that failed took, it may not have said.
      spoilt = bytes.length - whole;
      await cutBack().catch(() => undefined);
    }
    if (fsync === 'always') {
      try {
        await operations.sync(descriptor);
        dirty = false;
      } catch (failure) {
        // What the disk has of these lines nobody knows: they are taken back, so that the log says for certain that they are lost.
        size = before;
        spoilt += whole;
        await cutBack().catch(() => undefined);
        return { lines: 0, error: messageOf(failure) };
      }
    }
    if (error === undefined) return {};
    return { lines: linesIn(bytes.subarray(0, whole)), error };
  };

  let syncing = Promise.resolve();
  const syncNow = (): void => {
    syncing = syncing.then(async () => {
      if (!dirty) return;
      dirty = false;
      await operations.sync(descriptor).catch((error: unknown) => onFault('sync', messageOf(error)));
    });
  };
  const timer = fsync === 'interval' ? setInterval(syncNow, options.syncIntervalMs) : undefined;
  timer?.unref();
  return {
    found,
    write,
    async close() {
      clearInterval(timer);
      if (fsync !== 'none') syncNow();
      await syncing;
      await tidying;
      await operations.close(descriptor);
    },
  };
}

/** `audit.3f9a2c1b.log`: of nobody else, and not taken for a rotated file of the one that was left. */
function ownName(path: string): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}.${randomBytes(4).toString('hex')}${extension}`);
}

function linesIn(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === 0x0a) count += 1;
  return count;
}
