import { basename, dirname, extname, join } from 'node:path';
import { type FileOperations, messageOf } from '../file-operations.ts';

/*
 * Files that a log has left behind: `audit.log` becomes `audit-20261125T120000.000Z.log`, and that `….log.gz`. Names sort by time.
 */

/** `20261125T120000.000Z`. */
export function stampOf(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]/g, '');
}

export function rotatedName(path: string, ms: number): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}-${stampOf(ms)}${extension}`);
}

/*
 * Pieces are no logs, and whoever reads a log by the pattern `audit*.log*` must not read them: they bear no `.log`.
 */

/** Where what a writer left of a line is kept: `audit.torn-20261125T120000.000Z`. */
export function tornName(path: string, ms: number): string {
  return join(dirname(path), `${basename(path, extname(path))}.torn-${stampOf(ms)}`);
}

/** What a rotated file is compressed into before it has its name: `audit-20261125T120000.000Z.part`. */
function partName(path: string, rotated: string): string {
  return `${basename(rotated, extname(path))}.part`;
}

/** The rotated files of a log among the names of its folder, oldest first. One that was being compressed counts once, as it was. */
export function rotatedFiles(path: string, names: readonly string[]): readonly string[] {
  const extension = extname(path);
  const start = `${basename(path, extension)}-`;
  const rotated = names.filter(
    (name) =>
      name.startsWith(start) &&
      /^\d{8}T\d{6}\.\d{3}Z$/.test(name.slice(start.length, start.length + 20)) &&
      [extension, `${extension}.gz`].includes(name.slice(start.length + 20)),
  );
  return rotated.filter((name) => !name.endsWith('.gz') || !rotated.includes(name.slice(0, -3))).sort();
}

/** When a rotated file was left behind, by its name. */
export function rotatedAtMs(path: string, name: string): number {
  const start = `${basename(path, extname(path))}-`.length;
  const stamp = name.slice(start, start + 20);
  return Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)/, '$1-$2-$3T$4:$5:'));
}

export interface KeepOptions {
  readonly operations: FileOperations;
  /** Most rotated files that are kept; 0 = all. */
  readonly keep: number;
  readonly compress: boolean;
  readonly onFault: (operation: 'compress' | 'remove', why: string) => void;
}

/** Compresses what is not compressed yet, and removes the oldest files beyond the number to keep. What fails is tried again at the next rotation. */
export async function tidy(path: string, { operations, keep, compress, onFault }: KeepOptions): Promise<void> {
  const folder = dirname(path);
  const attempt = async (operation: 'compress' | 'remove', act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      onFault(operation, messageOf(error));
    }
  };
  let files: readonly string[] = [];
  await attempt('remove', async () => {
    const names = await operations.list(folder);
    files = rotatedFiles(path, names);
    // What a process that was killed has left half compressed.
    for (const name of names) {
      const whole = name.replace(/\.part$/, extname(path));
      if (whole !== name && rotatedFiles(path, [whole]).length === 1) await operations.remove(join(folder, name));
    }
  });
  const surplus = keep === 0 ? [] : files.slice(0, Math.max(0, files.length - keep));
  for (const name of surplus) await attempt('remove', () => operations.remove(join(folder, name)));
  if (!compress) return;
  for (const name of files.slice(surplus.length)) {
    if (name.endsWith('.gz')) continue;
    const file = join(folder, name);
    await attempt('compress', async () => {
      const part = join(folder, partName(path, name));
      await operations.compress(file, part);
      await operations.rename(part, `${file}.gz`);
      await operations.syncFolderOf(file);
      await operations.remove(file);
    });
  }
}
