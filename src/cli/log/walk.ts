import { type Entry, isLine, type Line, placeText, readEntry } from '../../audit/read/entry.ts';
import { endsOf, type FileEnds, type OrderedFiles, orderFiles } from '../../audit/read/order-files.ts';
import { type CliIo, UsageError } from '../io.ts';
import { createProgress, type Progress } from './progress.ts';
import { hashText, readEnds, readLines } from './read-file.ts';

/** The files of a log, in the order in which they were written. */
export interface LogFiles extends OrderedFiles {
  readonly progress: Progress;
  /** Of all files. */
  readonly lines: number;
}

/**
 * Looks at the ends of every file, which tells their order.
 * @param passes how often the files will be read after this; others that will be read stand in `more`.
 * @throws UsageError without files, or for one that cannot be read.
 */
export async function openLog(
  files: readonly string[],
  io: CliIo,
  { passes = 1, more = [] }: { readonly passes?: number; readonly more?: readonly string[] } = {},
): Promise<LogFiles> {
  if (files.length === 0) throw new UsageError('give the files of the audit log, rotated and compressed ones too');
  const unique = [...new Set(files)];
  const progress = createProgress([...Array.from({ length: passes + 1 }, () => unique).flat(), ...more], io);
  const ends: FileEnds[] = [];
  for (const file of unique) ends.push(await readEnds(file, progress.add));
  const alike = Map.groupBy(ends, endsOf);
  for (const [index, each] of ends.entries()) {
    if ((alike.get(endsOf(each))?.length ?? 0) > 1) {
      ends[index] = { ...each, text: await hashText(each.file, progress.add) };
    }
  }
  return { ...orderFiles(ends), progress, lines: ends.reduce((sum, { lines }) => sum + lines, 0) };
}

/** Hands over each entry of the files, in order. */
export async function eachEntry(
  files: readonly string[],
  progress: Progress,
  take: (entry: Entry) => void,
): Promise<void> {
  for (const file of files) {
    for await (const lines of readLines(file, progress.add)) {
      for (const line of lines) take(readEntry(file, line));
    }
  }
}

/** The same, of lines that are ours; others are named, and counted. */
export async function eachLine(log: LogFiles, bad: BadLines, take: (line: Line) => void): Promise<void> {
  for (const { files } of log.chains) {
    await eachEntry(files, log.progress, (entry) => {
      if (isLine(entry)) take(entry);
      else bad.add(placeText(entry.place));
    });
  }
}

export interface BadLines {
  /** @param what it should be. */
  add(where: string, what?: string): void;
  count(): number;
}

/** What lines of the API server's log should be. */
export const apiEventText = "event of an API server's audit log (audit.k8s.io, one a line)";

/** More are only counted. */
const maxNamed = 20;

/** Names lines that cannot be read on standard error, and goes on. */
export function createBadLines(io: CliIo, progress: Progress): BadLines {
  let count = 0;
  return {
    add(where, what = 'line of an audit log') {
      count += 1;
      if (count <= maxNamed + 1) progress.clear();
      if (count <= maxNamed) io.stderr(`osmo-admission: ${where}: is no ${what}\n`);
      if (count === maxNamed + 1) io.stderr('osmo-admission: more such lines follow; they are counted\n');
    },
    count: () => count,
  };
}
