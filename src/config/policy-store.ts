import { readFile } from 'node:fs/promises';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { ParsePolicy } from './parse.ts';
import { type Log, watchFiles } from './watch-files.ts';

/** What the last look at the policy file led to. */
export interface ReloadStatus {
  readonly outcome: 'success' | 'failure';
  /** Why the file was refused; empty after a success. */
  readonly error: string;
}

export interface PolicyStore {
  /** The last good policy. */
  current(): CompiledPolicy;
  status(): ReloadStatus;
  close(): void;
}

export interface PolicyStoreOptions {
  readonly file: string;
  readonly parse: ParsePolicy;
  readonly pollMs: number;
  readonly log: Log;
  /** Called after each attempt, the first included. */
  readonly onReload: (status: ReloadStatus, policy: CompiledPolicy) => void;
}

/**
 * Loads a policy file and keeps it: reads it again when it changes, and keeps the last good policy while the file is bad.
 * @throws PolicyFileError or the system's error if the first load fails: a server must not start with a policy that nobody wrote.
 */
export async function startPolicyStore(options: PolicyStoreOptions): Promise<PolicyStore> {
  const { file, parse, log, onReload } = options;
  let text = await readFile(file, 'utf8');
  let policy = parse(text, file);
  let status: ReloadStatus = { outcome: 'success', error: '' };
  onReload(status, policy);
  const reload = (next: string): void => {
    if (next === text && status.outcome === 'success') return;
    text = next;
    try {
      const fresh = parse(next, file);
      const changed = fresh.digest !== policy.digest;
      policy = fresh;
      status = { outcome: 'success', error: '' };
      log('info', changed ? 'policy reloaded' : 'policy file changed, policy unchanged', {
        file,
        digest: fresh.digest,
      });
    } catch (error) {
      status = { outcome: 'failure', error: error instanceof Error ? error.message : String(error) };
      log('error', 'policy file refused; the last good policy stays in force', {
        file,
        digest: policy.digest,
        error: status.error,
      });
    }
    onReload(status, policy);
  };
  const watcher = watchFiles({
    paths: [file],
    pollMs: options.pollMs,
    log,
    onChange: (contents) => {
      const bytes = contents.get(file);
      if (bytes !== undefined) reload(bytes.toString('utf8'));
    },
  });
  return { current: () => policy, status: () => status, close: () => watcher.close() };
}
