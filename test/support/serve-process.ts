import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, selfSigned } from '../server/support.ts';

/* The server as it is started for real: a process of its own, with flags, environment, files and signals. */

const root = join(import.meta.dirname, '..', '..');
export const nodesFile = join(root, 'test', 'fixtures', 'nodes', 'cluster.yaml');

export const policyText = (preset: string): string =>
  `apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\npreset: ${preset}\n`;

export interface Process {
  readonly pid: number;
  readonly exit: Promise<number | null>;
  readonly stderr: () => string;
  readonly stdout: () => string;
  readonly signal: (name: NodeJS.Signals) => void;
  /** Nobody reads its standard output any more. */
  readonly closeStdout: () => void;
  readonly closeStderr: () => void;
  /** Once it serves. */
  readonly ports: () => Promise<{ admission: number; health: number }>;
}

/** A folder with what a server needs, and the servers started in it. */
export interface ServeFolder {
  readonly directory: string;
  readonly ca: string;
  path(name: string): string;
  write(name: string, text: string): void;
  /** Arguments of a server with certificate, policy file and nodes, on free loopback ports. */
  usual(): string[];
  /** @param command what is run with `serve`: the checkout's own command, or another one. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>, command?: readonly string[]): Process;
  /** Ends what still runs, and removes everything. */
  close(): void;
}

export function createServeFolder(): ServeFolder {
  const directory = mkdtempSync(join(tmpdir(), 'serve-'));
  const children: ChildProcess[] = [];
  const { certPem, keyPem, caPem } = selfSigned();
  const path = (name: string): string => join(directory, name);
  const write = (name: string, text: string): void => writeFileSync(path(name), text);
  write('tls.crt', certPem);
  write('tls.key', keyPem);
  write('policy.yaml', policyText('enforce'));
  return {
    directory,
    ca: caPem,
    path,
    write,
    usual: () => [
      ...['--host', '127.0.0.1', '--port', '0', '--health-port', '0'],
      ...['--nodes', nodesFile, '--config', path('policy.yaml')],
      ...['--tls-cert-file', path('tls.crt'), '--tls-private-key-file', path('tls.key'), '--reload-interval', '1s'],
    ],
    start(args, env = {}, [program = '', ...before] = [join(root, 'bin', 'osmo-admission')]) {
      const started = spawn(program, [...before, 'serve', ...args], { env: { PATH: '/usr/bin:/bin', ...env } });
      children.push(started);
      let stderr = '';
      let stdout = '';
      started.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      started.stdout.on('data', (chunk) => {
        stdout += chunk;
      });
      return {
        pid: started.pid ?? 0,
        exit: new Promise((resolve) => started.once('exit', resolve)),
        stderr: () => stderr,
        stdout: () => stdout,
        signal: (name) => void started.kill(name),
        closeStdout: () => void started.stdout.destroy(),
        closeStderr: () => void started.stderr.destroy(),
        async ports() {
          await eventually('the server serves', () => stderr.includes('"admissionPort"'));
          const line = stderr.split('\n').find((text) => text.includes('"admissionPort"')) ?? '{}';
          const { admissionPort, healthPort } = JSON.parse(line);
          return { admission: admissionPort, health: healthPort };
        },
      };
    },
    close() {
      for (const child of children) child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
