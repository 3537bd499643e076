import { noHash } from '../line.ts';
import type { Entry } from './entry.ts';

/** The two ends of a file: enough to tell where it belongs. */
export interface FileEnds {
  readonly file: string;
  /** Undefined for an empty file. */
  readonly first: Entry | undefined;
  /** The last whole line. */
  readonly last: Entry | undefined;
  /** How many it has. */
  readonly lines: number;
  /** Hash of its whole text; only where another file begins and ends as it does. */
  readonly text?: string;
}

/** Files of one replica, in the order in which they were written. */
export interface FileChain {
  readonly replica: string;
  readonly files: readonly string[];
}

export interface OrderedFiles {
  readonly chains: readonly FileChain[];
  /** Files of the same text as another one, compressed or copied. Not read. */
  readonly twice: readonly { readonly file: string; readonly as: string }[];
  readonly empty: readonly string[];
}

/** The same for files that begin and end alike: what stands between, their hashes do not say. */
export function endsOf({ first, last }: FileEnds): string {
  return `${first?.hash ?? ''} ${last?.hash ?? ''}`;
}

/** Puts files in order by their links, else by boot and sequence, else by time: rotated ones go by any name, in any order. */
export function orderFiles(files: readonly FileEnds[]): OrderedFiles {
  const twice: { file: string; as: string }[] = [];
  const seen = new Map<string, string>();
  const known = files.filter((ends) => {
    const { file, first, text = '' } = ends;
    if (first === undefined) return false;
    const whole = `${endsOf(ends)} ${text}`;
    const as = seen.get(whole);
    if (as === undefined) seen.set(whole, file);
    else twice.push({ file, as });
    return as === undefined;
  });
  return {
    chains: groupsOf(known).map((group) => ({ replica: replicaOf(group), files: inOrder(group) })),
    twice,
    empty: files.filter(({ first }) => first === undefined).map(({ file }) => file),
  };
}

/** Files that share a replica, a boot or a link belong together, so that one changed member does not part them. */
function groupsOf(files: readonly FileEnds[]): readonly (readonly FileEnds[])[] {
  let groups: { readonly keys: Set<string>; readonly files: FileEnds[] }[] = [];
  for (const file of files) {
    const keys = new Set(keysOf(file));
    const joined = groups.filter((group) => !group.keys.isDisjointFrom(keys));
    groups = groups.filter((group) => !joined.includes(group));
    groups.push({
      keys: joined.reduce((all, group) => all.union(group.keys), keys),
      files: [...joined.flatMap((group) => group.files), file],
    });
  }
  return groups.map((group) => group.files);
}

function keysOf({ first, last }: FileEnds): readonly string[] {
  const headers = [first?.header, last?.header].filter((header) => header !== undefined);
  return [
    ...headers.flatMap(({ replica, boot }) => [`replica ${replica}`, `boot ${boot}`]),
    ...(first?.header === undefined || first.header.previous === noHash ? [] : [`hash ${first.header.previous}`]),
    ...(last === undefined ? [] : [`hash ${last.hash}`]),
  ];
}

function replicaOf(files: readonly FileEnds[]): string {
  return files.map(({ first, last }) => first?.header?.replica ?? last?.header?.replica).find(Boolean) ?? '';
}

/** Each file after the one that it goes on from; what follows nothing, in the order of time. */
function inOrder(files: readonly FileEnds[]): readonly string[] {
  const rest = [...files].sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1));
  const followers = new Map<FileEnds | undefined, FileEnds[]>();
  for (const file of rest) {
    const before = predecessorOf(file, rest);
    followers.set(before, [...(followers.get(before) ?? []), file]);
  }
  const order: string[] = [];
  const placed = new Set<FileEnds>();
  const place = (file: FileEnds): void => {
    if (placed.has(file)) return;
    placed.add(file);
    order.push(file.file);
    for (const next of followers.get(file) ?? []) place(next);
  };
  for (const file of followers.get(undefined) ?? []) place(file);
  // Hashes make no circles; forged sequence numbers may.
  for (const file of rest) place(file);
  return order;
}

function predecessorOf(file: FileEnds, files: readonly FileEnds[]): FileEnds | undefined {
  const header = file.first?.header;
  if (header === undefined) return undefined;
  const others = files.filter((other) => other !== file);
  const linked = others.find(({ last }) => last?.hash === header.previous);
  if (linked !== undefined) return linked;
  const earlier = others.filter(
    ({ last }) => last?.header?.boot === header.boot && last.header.sequence < header.sequence,
  );
  return earlier.sort((a, b) => (b.last?.header?.sequence ?? 0) - (a.last?.header?.sequence ?? 0))[0];
}

function timeOf({ first, last }: FileEnds): string {
  return first?.header?.time ?? last?.header?.time ?? '';
}
