import { run } from '../../src/cli/run.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliWorld {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds of the Unix epoch. */
  readonly nowMs?: number;
  /** Whether standard error is a terminal. */
  readonly terminal?: boolean;
}

/** Runs one command line in this process, at a time of its own: 2026-11-25. */
export async function runCli(
  args: readonly string[],
  { stdin = '', env = {}, nowMs = Date.UTC(2026, 10, 25), terminal = false }: CliWorld = {},
): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  const code = await run(args, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    readStdin: () => Promise.resolve(stdin),
    env,
    terminal,
    now: () => nowMs,
  });
  return { code, stdout, stderr };
}
