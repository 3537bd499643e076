import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../cluster/control-plane.ts';
import { root } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { commandsOf } from '../support/doc-commands.ts';

/* `docs/try-it.md`, command by command, in the cluster that `npm run cluster` starts; and what Ctrl-C leaves of it: nothing. */

let cluster: ChildProcess;
let output = '';
let env: Readonly<Record<string, string>>;

const exported = (name: string): string => new RegExp(`export ${name}=(\\S+)`).exec(output)?.[1] ?? '';

beforeAll(async () => {
  // As a shell with job control does, so that a signal to its group reaches all that it started.
  cluster = spawn('npm', ['run', '--silent', 'cluster'], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [cluster.stdout, cluster.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk;
    });
  }
  await eventually(
    'the cluster is up',
    () => {
      if (cluster.exitCode !== null) throw new Error(output);
      return output.includes('Ctrl-C');
    },
    100_000,
  );
  env = { KUBECONFIG: exported('KUBECONFIG'), PATH: exported('PATH').replace('$PATH', process.env.PATH ?? '') };
}, 120_000);

afterAll(() => {
  if (cluster.exitCode === null) process.kill(-(cluster.pid ?? 0), 'SIGKILL');
});

/** What is to be run in the second terminal. */
const steps = commandsOf('docs/try-it.md').filter(({ command }) => command !== 'npm ci && npm run cluster');

describe('docs/try-it.md', () => {
  it('has something to try', () => {
    expect(steps.length).toBeGreaterThan(8);
  });

  for (const { command, shown = '' } of steps) {
    it(`shows what this prints: ${command.slice(0, 100)}`, async () => {
      const { stdout, stderr } = await runCommand('bash', ['-c', `cd '${root}'; { ${command}; } 2>&1`], '', env);
      expect(`${stdout}${stderr}`).toBe(shown);
    });
  }
});

/** Command lines of everything that runs from the cluster's folder. */
async function running(): Promise<readonly string[]> {
  const folder = dirname(env.KUBECONFIG ?? '');
  const { stdout } = await runCommand('ps', ['-eo', 'args']);
  return stdout.split('\n').filter((line) => line.includes(folder));
}

describe('Ctrl-C', () => {
  it('ends every process and removes the folder', async () => {
    expect((await running()).length).toBeGreaterThan(5);
    const ended = once(cluster, 'exit');
    process.kill(-(cluster.pid ?? 0), 'SIGINT');
    await ended;
    await eventually('nothing runs', async () => (await running()).length === 0);
    expect(existsSync(dirname(env.KUBECONFIG ?? ''))).toBe(false);
  });
});
