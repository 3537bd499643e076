import { clip } from '../policy/kube/text.ts';

/** What a command touches of the world, as arguments: tests run commands in-process with their own. */
export interface CliIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether standard error is a terminal. */
  readonly terminal: boolean;
  /** All of standard input, as text. */
  readonly readStdin: () => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
}

/** @returns the exit code. */
export type Command = (args: readonly string[], io: CliIo) => Promise<number>;

/** Exit codes: clean, findings, could not judge, clean as far as could be judged. */
export const exitCodes = { ok: 0, denied: 1, failed: 2, partly: 3 } as const;

/** A command that cannot run as called: its message goes to standard error, the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What the system said about a file, in a sentence: `pod.yaml: no such file`. */
export function describeFileError(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'no such file',
    EACCES: 'permission denied',
    EISDIR: 'is a directory',
    Z_BUF_ERROR: 'the compressed file is cut off',
    Z_DATA_ERROR: 'the compressed file is damaged',
  };
  return `${clip(path, 4_096)}: ${known[code] ?? (error instanceof Error ? error.message : String(error))}`;
}
