import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Target } from './load.ts';

export const serverName = 'osmo-admission-webhook.osmo-admission.svc';

export interface ServerProcess extends Target {
  stop(): Promise<void>;
}

/** Starts a server as a process of its own and waits until it has said its port. */
export async function startProcess(args: readonly string[], ca: string): Promise<ServerProcess> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      const found = /"admissionPort":(\d+)/.exec(line);
      if (found !== null) resolve(Number(found[1]));
    });
    child.once('exit', () => reject(new Error(`the server did not start:\n${lines.join('\n')}`)));
  });
  return {
    pid: child.pid ?? 0,
    port,
    ca,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
