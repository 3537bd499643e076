import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { type Entry, readEntry } from '../../audit/read/entry.ts';
import type { FileEnds } from '../../audit/read/order-files.ts';
import { createLineSplitter, LineTooLongError, type RawLine } from '../../audit/read/split-lines.ts';
import { describeFileError, UsageError } from '../io.ts';

/** Called with the number of bytes that were read from the disk. */
export type OnBytes = (bytes: number) => void;

const chunkBytes = 64 * 1024;

/**
 * The lines of a file, compressed by gzip or not (by its first bytes, not by its name), in batches; memory does not grow with the file.
 * Lines are views: good until the next batch.
 * @throws UsageError that names the file, where it cannot be read to its end.
 */
export async function* readLines(file: string, onBytes: OnBytes): AsyncGenerator<readonly RawLine[]> {
  const splitter = createLineSplitter();
  try {
    for await (const chunk of textOf(file, onBytes)) yield splitter.push(chunk);
    yield splitter.end();
  } catch (error) {
    if (error instanceof LineTooLongError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

/** @throws UsageError that names the file. */
async function* textOf(file: string, onBytes: OnBytes): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of await openText(file, onBytes)) yield chunk;
  } catch (error) {
    throw new UsageError(describeFileError(file, error));
  }
}

async function openText(file: string, onBytes: OnBytes): Promise<AsyncIterable<Buffer>> {
  if (file === '-') throw new Error('logs are read from files, more than once: write standard input to a file first');
  // A pipe can be read once, and opening one waits for whoever writes.
  if ((await stat(file)).isFIFO())
    throw new Error('is a pipe, and logs are read more than once: write it to a file first');
  const zipped = await isGzip(file);
  const bytes = createReadStream(file, { highWaterMark: chunkBytes });
  bytes.on('data', (chunk) => onBytes(chunk.length));
  if (!zipped) return bytes;
  const text = createGunzip({ chunkSize: chunkBytes });
  bytes.on('error', (error) => text.destroy(error));
  return bytes.pipe(text);
}

/** RFC 1952: a gzip file begins with 1f 8b. */
async function isGzip(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await handle.close();
  }
}

/** Hex SHA-256 of a file's text, whether it is compressed or not. */
export async function hashText(file: string, onBytes: OnBytes): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of textOf(file, onBytes)) hash.update(chunk);
  return hash.digest('hex');
}

/** The first and the last whole line of a file. */
export async function readEnds(file: string, onBytes: OnBytes): Promise<FileEnds> {
  let first: Entry | undefined;
  let last: Entry | undefined;
  let count = 0;
  for await (const lines of readLines(file, onBytes)) {
    count += lines.length;
    const [head] = lines;
    if (first === undefined && head !== undefined) first = readEntry(file, head);
    const tail = lines.findLast(({ torn }) => !torn);
    if (tail !== undefined) last = readEntry(file, tail);
  }
  return { file, first, last, lines: count };
}
