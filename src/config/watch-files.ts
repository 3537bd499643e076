import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

export type Log = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface WatchFilesOptions {
  readonly paths: readonly string[];
  /** How often the contents are compared, in milliseconds, events or not: an event can be missed. */
  readonly pollMs: number;
  /**
   * Called with the contents of all files at the first look and whenever any of them has changed since: what changed between the
   * caller's own first read and ours is not missed. A file that cannot be read is left out.
   */
  readonly onChange: (contents: ReadonlyMap<string, Buffer>) => void;
  readonly log: Log;
  /** Whether events of the file system are used beside the poll. */
  readonly events?: boolean;
  /** How long files must stay as they are before they are taken, in milliseconds: they may be half written, or half swapped. */
  readonly settleMs?: number;
}

export interface FileWatcher {
  close(): void;
}

const defaultSettleMs = 50;

/**
 * Watches files by event and by poll. It is the directories that are watched, because Kubernetes changes a mounted ConfigMap or
 * Secret by swapping the symbolic link `..data` beside the files: a watch on a file would follow the old one into oblivion.
 */
export function watchFiles(options: WatchFilesOptions): FileWatcher {
  const { paths, pollMs, onChange, log, events = true, settleMs = defaultSettleMs } = options;
  let closed = false;
  let last: string | undefined;
  /** What was seen last, and since when: a change that counts, or a file that is half written. */
  let seen: { readonly digest: string; readonly sinceMs: number } | undefined;
  let reading: Promise<void> | undefined;
  let again = false;
  let settle: NodeJS.Timeout | undefined;

  const check = async (): Promise<void> => {
    const contents = new Map<string, Buffer>();
    const digest = createHash('sha256');
    for (const path of paths) {
      try {
        const bytes = await readFile(path);
        contents.set(path, bytes);
        digest.update(`${bytes.length}:`).update(bytes);
      } catch (error) {
        // Gone, or half-way through a swap: the next event or poll finds it back.
        digest.update(`-${error instanceof Error && 'code' in error ? String(error.code) : ''}`);
      }
    }
    if (closed) return;
    const current = digest.digest('hex');
    if (current !== seen?.digest) seen = { digest: current, sinceMs: performance.now() };
    if (current === last) return;
    // A poll may come between an editor's truncating and its writing.
    if (performance.now() - seen.sinceMs < settleMs) {
      runSoon();
      return;
    }
    last = current;
    try {
      onChange(contents);
    } catch (error) {
      log('error', 'a changed file could not be used', {
        paths,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  };
  const run = (): void => {
    if (closed) return;
    if (reading !== undefined) {
      again = true;
      return;
    }
    reading = check().finally(() => {
      reading = undefined;
      if (again) {
        again = false;
        run();
      }
    });
  };
  const runSoon = (): void => {
    clearTimeout(settle);
    settle = setTimeout(run, settleMs);
  };
  const watchers = events ? watchDirectories(new Set(paths.map(dirname)), log, runSoon) : [];
  const timer = setInterval(run, pollMs);
  timer.unref();
  run();
  return {
    close() {
      closed = true;
      clearInterval(timer);
      clearTimeout(settle);
      for (const watcher of watchers) watcher.close();
    },
  };
}

function watchDirectories(directories: ReadonlySet<string>, log: Log, onEvent: () => void): readonly FSWatcher[] {
  return [...directories].flatMap((directory) => {
    try {
      const watcher = watch(directory, { persistent: false }, onEvent);
      // The directory may be removed under us; the poll goes on.
      watcher.on('error', (error) =>
        log('warn', 'file events have stopped; the poll goes on', { directory, error: error.message }),
      );
      return [watcher];
    } catch (error) {
      log('warn', 'no file events here; the poll goes on', {
        directory,
        error: error instanceof Error ? error.message : String(error),
      });
      return [];
    }
  });
}
