import { readFileSync, write } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type CliIo, type Command, exitCodes } from './cli/io.ts';
import { run } from './cli/run.ts';
import type { Log } from './config/watch-files.ts';

/** The composition root: the one place that touches the process. */

const manifest: { version: string } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'));

const io: CliIo = {
  stdout: (chunk) => void process.stdout.write(chunk),
  stderr: (chunk) => void process.stderr.write(chunk),
  terminal: process.stderr.isTTY === true,
  readStdin: () => text(process.stdin),
  env: process.env,
  now: Date.now,
};

/** What a shell says of a program that SIGPIPE ended, which Node does not let happen. */
const brokenPipe = 128 + 13;

// `log query … | head`: whoever reads has had enough. Nothing is wrong, and there is nobody to tell. Audit records take another way.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(brokenPipe);
  throw error;
});
// A server must not end because nobody reads its log any more.
process.stderr.on('error', () => undefined);

/** The operational log: one JSON object a line on standard error; audit records go elsewhere. */
const log: Log = (level, message, fields) => {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
};

const version: Command = async () => {
  io.stdout(`osmo-admission ${manifest.version} (node ${process.version})\n`);
  return exitCodes.ok;
};

const writeTo = promisify(write);

/** Past process.stdout, which blocks the whole process while the reader of a pipe is slow. */
const writeStdout = async (bytes: Uint8Array): Promise<number> => {
  for (;;) {
    try {
      return (await writeTo(1, bytes)).bytesWritten;
    } catch (error) {
      // A pipe that whoever started us has set not to block, and that is full.
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EAGAIN') throw error;
      await wait(10);
    }
  }
};

const serveCommand: Command = async (args) => {
  // Loaded here, so that review and policy start without a server's libraries.
  const { serve } = await import('./serve.ts');
  return serve(args, io, {
    log,
    onStop: (listener) => {
      for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => listener(signal));
    },
    version: manifest.version,
    writeStdout,
    now: Date.now,
    monotonic: () => performance.now(),
    random: Math.random,
    sleep: async (ms, signal) => {
      await wait(ms, undefined, { signal }).catch(() => undefined);
    },
    // exit(3) would wait for the thread in that call, and a signal to itself does nothing to the first process of a container.
    abandon: () => process.execve?.(process.execPath, [process.execPath, '--eval', 'process.exit(1)'], {}),
  });
};

process.exitCode = await run(process.argv.slice(2), io, { version, serve: serveCommand });
