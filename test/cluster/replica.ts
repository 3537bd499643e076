import { readFileSync } from 'node:fs';
import type { AdmissionRecord, AuditLine } from '../../src/audit/line.ts';
import { recordHash } from '../support/record-hash.ts';
import { jsonLines, type Processes, tail } from './processes.ts';
import { eventually } from './wait.ts';

/** A server process of an installation. */
export interface Replica {
  /** @param more arguments beside its own, this time. */
  startServer(more?: readonly string[]): Promise<void>;
  /** @throws Error if it does not end with code 0. */
  stopServer(): Promise<void>;
  /** Ends it without a word, as a machine that dies does. */
  killServer(): Promise<void>;
  /** The server's own log lines so far. */
  log(): readonly Readonly<Record<string, unknown>>[];
  /** Its records of decisions so far. */
  records(): readonly AdmissionRecord[];
  /** The same, each by the hex SHA-256 of its line. */
  recordsByHash(): ReadonlyMap<string, AdmissionRecord>;
  /** Port that it serves reviews on. */
  port(): number;
  /** URL of its health port. */
  health(): string;
  /** Text of /metrics. */
  metrics(): Promise<string>;
}

export interface ReplicaOptions {
  /** Of the process, and so of its log. */
  readonly name: string;
  readonly host: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly auditFile: string;
}

const isDecision = (line: AuditLine): line is AdmissionRecord => line.kind === 'AdmissionRecord';

export function createReplica(processes: Processes, { name, host, command, args, auditFile }: ReplicaOptions): Replica {
  let healthPort = 0;
  let admissionPort = 0;
  // A restarted server goes on in the same log.
  let seen = 0;
  const log = (): readonly Readonly<Record<string, unknown>>[] => jsonLines(processes.logFile(name));
  return {
    async startServer(more = []) {
      // Records name their replica by it, and files of one replica are one chain.
      await processes.start(name, command, [...args, ...more], { POD_NAME: name });
      await eventually('the server serves', () => {
        const lines = log().slice(seen);
        const failed = lines.find(({ message }) => message === 'could not start');
        if (failed !== undefined) throw new Error(tail(processes.logFile(name)));
        const serving = lines.find(({ message }) => message === 'serving');
        admissionPort = Number(serving?.admissionPort ?? 0);
        healthPort = Number(serving?.healthPort ?? 0);
        return serving !== undefined;
      });
      seen = log().length;
    },
    async stopServer() {
      const code = await processes.stop(name);
      if (code !== 0) throw new Error(`the server ended with code ${code}: ${tail(processes.logFile(name))}`);
    },
    async killServer() {
      await processes.stop(name, 'SIGKILL');
    },
    log,
    records: () => (jsonLines(auditFile) as readonly object[] as readonly AuditLine[]).filter(isDecision),
    recordsByHash: () =>
      new Map(
        readFileSync(auditFile, 'utf8')
          .trimEnd()
          .split('\n')
          .map((line): [string, AuditLine] => [recordHash(line), JSON.parse(line)])
          .filter((entry): entry is [string, AdmissionRecord] => isDecision(entry[1])),
      ),
    port: () => admissionPort,
    health: () => `http://${host}:${healthPort}`,
    metrics: async () => (await fetch(`http://${host}:${healthPort}/metrics`)).text(),
  };
}
