import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import type { KeeperAnswer, KeeperRequest } from './processes.ts';

/*
 * Parent of every process of a test cluster, in a session of its own. Whatever ends the test run (its end, a failure, Ctrl-C, kill -9)
 * closes the channel between them; then this ends all it started, last one first, and removes their folder.
 */

const [folder = ''] = process.argv.slice(2);
const running = new Map<string, ChildProcess>();

function start({ name, command, args, log, env }: Extract<KeeperRequest, { do: 'start' }>): void {
  const output = openSync(log, 'a');
  const child = spawn(command, args, { stdio: ['ignore', output, output], env: { ...process.env, ...env } });
  closeSync(output);
  running.set(name, child);
  child.once('error', (error) => {
    running.delete(name);
    answer({ name, error: error.message });
  });
  child.once('spawn', () => answer({ name, pid: child.pid ?? 0 }));
  child.once('exit', (code) => {
    if (running.get(name) === child) answer({ name, died: code });
  });
}

async function stop(name: string, signal: NodeJS.Signals, patienceMs = 0): Promise<number | null> {
  const child = running.get(name);
  running.delete(name);
  if (child === undefined) return null;
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const patience = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  const code = await ended;
  clearTimeout(patience);
  return code;
}

/** Nothing of it is needed any more, so nothing is asked to end well: an API server with open watches takes ten seconds for that. */
async function stopAll(): Promise<void> {
  for (const name of [...running.keys()].reverse()) await stop(name, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

function answer(message: KeeperAnswer): void {
  if (process.connected) process.send?.(message);
}

process.on('message', (request: KeeperRequest) => {
  if (request.do === 'start') start(request);
  else void stop(request.name, request.signal, request.patienceMs).then((code) => answer({ name: request.name, code }));
});
process.on('disconnect', () => void stopAll());
// A terminal's Ctrl-C reaches the test run, which then ends.
process.on('SIGINT', () => undefined);
