import { randomBytes } from 'node:crypto';
import { type FileOperations, fileOperations } from './file-operations.ts';
import type { CallerVerification, Fsync, LogStart, OnError, SinkName } from './line.ts';
import { type AuditLog, startAuditLog } from './log.ts';
import { keyIsOpen, loadOrMakeSigningKey } from './signing.ts';
import { type FileFault, type FileOutputOptions, openFileOutput } from './sinks/file.ts';
import type { Output } from './sinks/queue.ts';
import { createStreamOutput } from './sinks/stream.ts';

/** How the audit log is kept. Durations in milliseconds. */
export interface AuditSettings {
  readonly stdout: boolean;
  readonly file: string | undefined;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly keep: number;
  readonly compress: boolean;
  readonly fsync: Fsync;
  readonly onError: OnError;
  readonly signingKey: string | undefined;
  readonly checkpointRecords: number;
  readonly checkpointIntervalMs: number;
  readonly cluster: string;
  readonly replica: string;
}

export interface AuditWorld {
  readonly version: string;
  readonly callerVerification: CallerVerification;
  /** @returns how many bytes it took. */
  readonly writeStdout: (bytes: Uint8Array) => Promise<number>;
  readonly now: () => number;
  readonly onLost: (sink: SinkName, lines: number, why: string) => void;
  readonly onWorking: (sink: SinkName, lost: number) => void;
  /** Told of what failed that lost no line. */
  readonly onFault: (operation: FileFault, why: string) => void;
  /** Told of a signing key that others may read. */
  readonly onOpenKey: (file: string) => void;
  /** Told of what a writer that was cut off had left. */
  readonly onTornTail: (tail: NonNullable<LogStart['tornTail']>) => void;
  readonly operations?: FileOperations;
}

const syncIntervalMs = 1_000;

/** Two looks at the file take more of the processor than a write does; lines of two processes mix for so long at most. */
const lookIntervalMs = 50;

/** Opens the sinks and begins the log. @throws what open(2) says of the file, SigningKeyError. */
export async function openAuditLog(settings: AuditSettings, world: AuditWorld): Promise<AuditLog> {
  const { now, onLost, onWorking, onFault, version, operations = fileOperations } = world;
  const { fsync, onError, signingKey, checkpointRecords, checkpointIntervalMs, cluster, replica } = settings;
  const key = signingKey === undefined ? undefined : loadOrMakeSigningKey(signingKey);
  if (signingKey !== undefined && keyIsOpen(signingKey)) world.onOpenKey(signingKey);
  let log: AuditLog | undefined;
  const onMoved: FileOutputOptions['onMoved'] = (move) =>
    log?.note({ kind: 'FileRecord', time: new Date(now()).toISOString(), ...move });
  const sinks: { readonly name: SinkName; readonly output: Output }[] = [];
  if (settings.stdout) sinks.push({ name: 'stdout', output: createStreamOutput(world.writeStdout) });
  const file =
    settings.file === undefined
      ? undefined
      : await openFileOutput({
          ...{ ...settings, path: settings.file, operations, syncIntervalMs, lookIntervalMs, now, onFault, onMoved },
        });
  if (file !== undefined) {
    sinks.push({ name: 'file', output: file });
    if (file.found.tornTail !== null) world.onTornTail(file.found.tornTail);
  }
  log = startAuditLog({
    ...{ cluster, replica, version, fsync, onError, key, checkpointRecords, checkpointIntervalMs },
    boot: randomBytes(16).toString('hex'),
    callerVerification: world.callerVerification,
    sinks,
    ...(file !== undefined && { found: file.found }),
    ...{ now, onLost, onWorking },
  });
  return log;
}
