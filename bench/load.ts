import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { serverName } from '../scripts/server-process.ts';
import type { Scenario } from './reviews.ts';

export interface Target {
  readonly pid: number;
  readonly port: number;
  readonly ca: string;
}

/** What one round of load on one server came to. */
export interface Sample {
  /** User and system time of the server's process, in microseconds per request. */
  readonly cpuUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Sends `requests` reviews over `connections` kept-alive connections, each sending its next as soon as it has its answer. */
export async function load(target: Target, scenario: Scenario, connections: number, requests: number): Promise<Sample> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, ca: target.ca, servername: serverName });
  // Handshakes are not part of the figures: the connections are opened first.
  await Promise.all(Array.from({ length: connections }, () => send(target, scenario, agent)));
  const times: number[] = [];
  let left = requests;
  const before = cpuUs(target.pid);
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (left-- > 0) {
        const started = performance.now();
        await send(target, scenario, agent);
        times.push((performance.now() - started) * 1_000);
      }
    }),
  );
  const used = cpuUs(target.pid) - before;
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { cpuUs: used / times.length, p50Us: at(0.5), p99Us: at(0.99) };
}

function send({ port }: Target, { path, body }: Scenario, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { Host: serverName, 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const call = request(
      { agent, host: '127.0.0.1', port, method: 'POST', path: `${path}?timeout=5s`, headers },
      (response) => {
        response.on('data', () => undefined);
        response.on('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`HTTP ${response.statusCode}`)),
        );
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

/** The kernel's own account of a process: clock ticks of 10 ms, fields 14 and 15 of /proc/PID/stat. */
export function cpuUs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
