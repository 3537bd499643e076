import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { AuditLine } from '../../../../src/audit/line.ts';
import { type Outcome, runCli } from '../../../support/cli.ts';
import { recordHash, recordHashesIn } from '../../../support/record-hash.ts';

/* Both logs as a reviewer gets them: copies of files. */

/** A line of the webhook's log. */
export interface OurLine {
  readonly file: string;
  readonly text: string;
  readonly hash: string;
  readonly value: AuditLine;
}

/** One call of ours, as the API server's audit log has it. */
export interface Call {
  readonly auditId: string;
  /** `pods.validate`. */
  readonly webhook: string;
  readonly hash: string;
  /** When the request was answered, in milliseconds of the Unix epoch. */
  readonly doneMs: number;
}

export interface Copies {
  readonly ours: readonly string[];
  readonly theirs: string;
}

/** The files of these replicas, without what is being compressed or was kept aside. */
export function filesOf(folder: string, replicas: readonly string[]): readonly string[] {
  const names = readdirSync(folder).filter(
    (name) => replicas.some((replica) => name.startsWith(`audit-${replica}`)) && /\.log(\.gz)?$/.test(name),
  );
  return names.filter((name) => !names.includes(`${name}.gz`)).map((name) => join(folder, name));
}

/** Copies files into a folder, which it makes. @returns the copies. */
export function copyTo(folder: string, files: readonly string[]): readonly string[] {
  mkdirSync(folder, { recursive: true });
  return files.map((file) => {
    const copy = join(folder, basename(file));
    copyFileSync(file, copy);
    return copy;
  });
}

/** Lines of a file, compressed or not, in its order; of a torn one only the whole lines. */
export function linesOf(file: string): readonly OurLine[] {
  const bytes = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({ file, text: line, hash: recordHash(line), value: JSON.parse(line) }));
}

// biome-ignore lint/suspicious/noExplicitAny: events as JSON.
export type ApiEventObject = any;

export function eventsOf(file: string): readonly ApiEventObject[] {
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

export function callsOf(event: ApiEventObject): readonly Call[] {
  return recordHashesIn(event.annotations).map((named) => ({
    auditId: event.auditID,
    ...named,
    doneMs: Date.parse(event.stageTimestamp),
  }));
}

/** Webhooks of ours that the API server went on without. */
export function failedOpenOf(event: ApiEventObject): readonly string[] {
  return Object.entries<string>(event.annotations ?? {}).flatMap(([key, webhook]) =>
    key.startsWith('failed-open.') && webhook.endsWith('.osmo-admission') ? [webhook] : [],
  );
}

// biome-ignore lint/suspicious/noExplicitAny: a report as JSON.
export type Reported = Outcome & { readonly report: any };

async function reported(args: readonly string[]): Promise<Reported> {
  const said = await runCli([...args, '-o', 'json'], { nowMs: Date.now() });
  if (said.code === 2) throw new Error(said.stderr);
  return { ...said, report: JSON.parse(said.stdout) };
}

export const reconcile = ({ ours, theirs }: Copies, ...more: readonly string[]): Promise<Reported> =>
  reported(['log', 'reconcile', ...ours, '--api-audit', theirs, ...more]);

export const verify = (files: readonly string[], ...more: readonly string[]): Promise<Reported> =>
  reported(['log', 'verify', ...files, ...more]);
