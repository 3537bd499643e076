import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export const serverName = 'osmo-admission-webhook.osmo-admission.svc';

/** A server that runs as a process of its own. */
export interface ServerProcess {
  readonly pid: number;
  readonly port: number;
  /** Asks it to end, and waits. @throws Error if it does not end with code 0. */
  stop(): Promise<void>;
}

/** Starts a server and waits until it has said its port on standard error. @throws Error with what it said if it ends before. */
export async function startProcess(command: string, args: readonly string[]): Promise<ServerProcess> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const port = await new Promise<number>((resolve, reject) => {
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      const found = /"admissionPort":(\d+)/.exec(line);
      if (found !== null) resolve(Number(found[1]));
    });
    void exited.then((code) => reject(new Error(`the server ended with code ${code}:\n${lines.join('\n')}`)));
  });
  return {
    pid: child.pid ?? 0,
    port,
    async stop() {
      child.kill('SIGTERM');
      const code = await exited;
      if (code !== 0) throw new Error(`the server ended with code ${code}`);
    },
  };
}
