import { createHash } from 'node:crypto';
import { type FileOperations, fileOperations } from '../../src/audit/file-operations.ts';
import type { LogStart } from '../../src/audit/line.ts';
import { type AuditLog, type AuditLogOptions, startAuditLog } from '../../src/audit/log.ts';
import { type FileOutput, type FileOutputOptions, openFileOutput } from '../../src/audit/sinks/file.ts';

/** The parts of a line that a chain is made of. */
export interface Chained {
  readonly kind: string;
  readonly boot: string;
  readonly sequence: number;
  readonly previous: string;
  readonly [key: string]: unknown;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export function parseLines(text: string): readonly Chained[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line is torn');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** Where a file is no unbroken chain: a line that does not name the one before, or numbers that do not follow. */
export function breaksOf(text: string): readonly string[] {
  const lines = text.split('\n').slice(0, -1);
  return parseLines(text).flatMap((line, i) => {
    const before = i === 0 ? undefined : parseLines(`${lines[i - 1]}\n`)[0];
    const at = `${line.kind} ${line.sequence}`;
    if (before === undefined) return [];
    const expected = before.boot === line.boot ? before.sequence + 1 : 1;
    return [
      ...(line.previous === sha256(lines[i - 1] ?? '') ? [] : [`${at} does not follow`]),
      ...(line.sequence === expected ? [] : [`${at} is not number ${expected}`]),
    ];
  });
}

/** The real file operations, which tell their names, with some of them replaced. */
export function watched(
  calls: string[],
  over: (real: FileOperations) => Partial<FileOperations> = () => ({}),
): FileOperations {
  const operations: FileOperations = { ...fileOperations, ...over(fileOperations) };
  const told = Object.entries(operations).map(([name, act]) => [
    name,
    (...args: unknown[]) => {
      calls.push(name);
      return Reflect.apply(act, undefined, args);
    },
  ]);
  return Object.fromEntries(told);
}

/** A file output of defaults, but for what is given. */
export function openFile(path: string, over: Partial<FileOutputOptions> = {}): Promise<FileOutput> {
  return openFileOutput({
    path,
    operations: fileOperations,
    fsync: 'none',
    syncIntervalMs: 60_000,
    lookIntervalMs: 0,
    maxBytes: 0,
    maxAgeMs: 0,
    keep: 0,
    compress: false,
    now: Date.now,
    onFault: () => undefined,
    onMoved: () => undefined,
    ...over,
  });
}

/** A log of defaults, but for what is given. */
export function startLog(over: Partial<AuditLogOptions> & Pick<AuditLogOptions, 'sinks'>): AuditLog {
  return startAuditLog({
    cluster: 'a-cluster',
    replica: 'a-replica',
    boot: 'b'.repeat(32),
    version: '1.2.3',
    fsync: 'none',
    onError: 'continue',
    callerVerification: 'off',
    key: undefined,
    checkpointRecords: 1_000,
    checkpointIntervalMs: 60_000,
    now: Date.now,
    onLost: () => undefined,
    onWorking: () => undefined,
    lingerMs: 0,
    ...over,
  });
}

export const tornTailOf = (line: Chained | undefined): LogStart['tornTail'] =>
  (line as unknown as LogStart | undefined)?.tornTail ?? null;
