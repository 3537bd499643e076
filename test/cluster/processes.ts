import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

export type KeeperRequest =
  | {
      readonly do: 'start';
      readonly name: string;
      readonly command: string;
      readonly args: readonly string[];
      readonly log: string;
      readonly env: Readonly<Record<string, string>>;
    }
  | { readonly do: 'stop'; readonly name: string; readonly signal: NodeJS.Signals; readonly patienceMs: number };

export type KeeperAnswer =
  | { readonly name: string; readonly pid: number }
  | { readonly name: string; readonly code: number | null }
  | { readonly name: string; readonly error: string }
  /** It ended without being asked to. */
  | { readonly name: string; readonly died: number | null };

export interface Running {
  readonly pid: number;
  /** Resolves when it has ended, whatever ended it: to the exit code, null for a signal. */
  readonly ended: Promise<number | null>;
}

/** Processes that end with whoever started them, whatever ends that. Each writes its output to `<folder>/<name>.log`. */
export interface Processes {
  /** @throws Error where the command cannot be run. Resolves to its pid. */
  start(
    name: string,
    command: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<number>;
  /** The same of one that may end by itself. */
  run(name: string, command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Running>;
  /**
   * Resolves to the exit code, null where a signal ended it or where it does not run.
   * @param patienceMs after which it is killed. etcd and the API server take some seconds.
   */
  stop(name: string, signal?: NodeJS.Signals, patienceMs?: number): Promise<number | null>;
  logFile(name: string): string;
  /** Ends all, last one first, and removes the folder. @throws Error where one had ended by itself, with the end of its log. */
  close(): Promise<void>;
}

/** @param folder where logs go; removed at the end. */
export function startProcesses(folder: string): Processes {
  const keeper = fork(join(import.meta.dirname, 'keeper.ts'), [folder], { detached: true });
  // The run may end without close(): the keeper does not hold it up.
  keeper.unref();
  keeper.channel?.unref?.();
  const logFile = (name: string): string => join(folder, `${name}.log`);
  const deaths: string[] = [];
  const mayEnd = new Set<string>();
  keeper.on('message', (answer: KeeperAnswer) => {
    if ('died' in answer && !mayEnd.has(answer.name)) {
      deaths.push(
        `${answer.name} ended by itself, with code ${answer.died}; its log ends:\n${tail(logFile(answer.name))}`,
      );
    }
  });
  const start: Processes['start'] = async (name, command, args, env = {}) => {
    const answered = answerFor(keeper, name);
    keeper.send({ do: 'start', name, command, args, log: logFile(name), env } satisfies KeeperRequest);
    const answer = await answered;
    if ('error' in answer) throw new Error(`${name}: ${answer.error}`);
    return 'pid' in answer ? answer.pid : 0;
  };
  return {
    start,
    async run(name, ...command) {
      mayEnd.add(name);
      const ended = new Promise<number | null>((resolve) => {
        const take = (answer: KeeperAnswer): void => {
          if (answer.name !== name || !('died' in answer || 'code' in answer)) return;
          keeper.off('message', take);
          resolve('died' in answer ? answer.died : answer.code);
        };
        keeper.on('message', take);
      });
      return { pid: await start(name, ...command), ended };
    },
    async stop(name, signal = 'SIGTERM', patienceMs = 15_000) {
      const answered = answerFor(keeper, name);
      keeper.send({ do: 'stop', name, signal, patienceMs } satisfies KeeperRequest);
      const answer = await answered;
      return 'code' in answer ? answer.code : null;
    },
    logFile,
    async close() {
      if (!keeper.connected) return;
      keeper.ref();
      const ended = once(keeper, 'exit');
      keeper.disconnect();
      await ended;
      if (deaths.length > 0) throw new Error(deaths.join('\n'));
    },
  };
}

/** How many wait for an answer of a keeper. */
let waiting = 0;

async function answerFor(keeper: ChildProcess, name: string): Promise<KeeperAnswer> {
  return new Promise((resolve) => {
    // Holds the run while somebody waits.
    waiting += 1;
    keeper.channel?.ref?.();
    const take = (answer: KeeperAnswer): void => {
      if (answer.name !== name || 'died' in answer) return;
      keeper.off('message', take);
      waiting -= 1;
      if (waiting === 0) keeper.channel?.unref?.();
      resolve(answer);
    };
    keeper.on('message', take);
  });
}

/** The last lines of a log, for an error. */
export function tail(file: string, lines = 10): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/** Ports of 127.0.0.1 that are free now. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}

/** The JSON objects of a file, one a line, without a last line that is still being written. */
export function jsonLines(file: string): readonly Readonly<Record<string, unknown>>[] {
  const text = readFileSync(file, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}
