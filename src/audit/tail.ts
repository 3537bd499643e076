import { dirname, join } from 'node:path';
import { type FileOperations, writeAll } from './file-operations.ts';
import type { LogStart } from './line.ts';
import { rotatedFiles, tornName } from './sinks/rotated.ts';

/** What a start finds at the end of a log. */
export interface FoundTail {
  /** Bytes of the last whole line, without its line break; undefined where there is none. */
  readonly lastLine: Buffer | undefined;
  readonly tornTail: LogStart['tornTail'];
}

const pieceBytes = 64 * 1024;
const lineBreak = 0x0a;

/**
 * Finds the last whole line, and what stands after it: a writer was cut off. Where the file holds no whole line, the last line of the
 * newest rotated one is the last: a start may follow a rotation.
 */
export async function findTail(
  operations: FileOperations,
  descriptor: number,
  path: string,
  nowMs: number,
): Promise<FoundTail> {
  const { size, regular } = await operations.stat(descriptor);
  if (!regular) return { lastLine: undefined, tornTail: null };
  const end = (await lastBreakBefore(operations, descriptor, size)) + 1;
  const tornTail = end < size ? { bytes: size - end, keptAs: tornName(path, nowMs) } : null;
  if (end === 0) return { lastLine: await lastRotatedLine(operations, path), tornTail };
  const start = (await lastBreakBefore(operations, descriptor, end - 1)) + 1;
  return { lastLine: await readRange(operations, descriptor, start, end - 1), tornTail };
}

/** Position of the last line break before a position; -1 where there is none. */
async function lastBreakBefore(operations: FileOperations, descriptor: number, before: number): Promise<number> {
  for (let end = before; end > 0; ) {
    const start = Math.max(0, end - pieceBytes);
    const found = (await readRange(operations, descriptor, start, end)).lastIndexOf(lineBreak);
    if (found !== -1) return start + found;
    end = start;
  }
  return -1;
}

async function readRange(operations: FileOperations, descriptor: number, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  let filled = 0;
  while (filled < bytes.length) {
    const count = await operations.read(descriptor, bytes.subarray(filled), start + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/** Moves what stands after the last whole line into a file of its own, so that the next line starts a line. */
export async function keepAside(
  operations: FileOperations,
  descriptor: number,
  { bytes, keptAs }: NonNullable<LogStart['tornTail']>,
): Promise<void> {
  const { size } = await operations.stat(descriptor);
  const aside = await operations.open(keptAs);
  try {
    // An earlier attempt may have written a part.
    await operations.truncate(aside, 0);
    for (let at = size - bytes; at < size; at += pieceBytes) {
      const piece = await readRange(operations, descriptor, at, Math.min(size, at + pieceBytes));
      const { error } = await writeAll((rest) => operations.write(aside, rest), piece);
      if (error !== undefined) throw new Error(`the torn end of the log cannot be kept aside: ${error}`);
    }
    await operations.sync(aside);
  } finally {
    await operations.close(aside);
  }
  await operations.truncate(descriptor, size - bytes);
}

async function lastRotatedLine(operations: FileOperations, path: string): Promise<Buffer | undefined> {
  const newest = rotatedFiles(path, await operations.list(dirname(path))).at(-1);
  if (newest === undefined) return undefined;
  const file = join(dirname(path), newest);
  if (newest.endsWith('.gz')) {
    let rest: Buffer = Buffer.alloc(0);
    for await (const piece of operations.decompress(file)) rest = lastLines(Buffer.concat([rest, piece]));
    return lastLineOf(rest);
  }
  const descriptor = await operations.open(file);
  try {
    const { size } = await operations.stat(descriptor);
    const end = await lastBreakBefore(operations, descriptor, size);
    if (end === -1) return undefined;
    return await readRange(operations, descriptor, (await lastBreakBefore(operations, descriptor, end)) + 1, end);
  } finally {
    await operations.close(descriptor);
  }
}

/** From the start of the last whole line on. */
function lastLines(bytes: Buffer): Buffer {
  const end = bytes.lastIndexOf(lineBreak);
  return end < 1 ? bytes : bytes.subarray(bytes.lastIndexOf(lineBreak, end - 1) + 1);
}

function lastLineOf(bytes: Buffer): Buffer | undefined {
  const end = bytes.lastIndexOf(lineBreak);
  return end === -1 ? undefined : lastLines(bytes).subarray(0, lastLines(bytes).lastIndexOf(lineBreak));
}
