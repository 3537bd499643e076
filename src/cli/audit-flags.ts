import type { AuditSettings } from '../audit/open.ts';
import { parseGoDuration } from '../policy/kube/go-duration.ts';
import { parseQuantity } from '../policy/kube/quantity.ts';
import { clip } from '../policy/kube/text.ts';
import type { Flags, ParsedFlags } from './flags.ts';
import { UsageError } from './io.ts';

/** Flags of `serve` about the audit log. */
export const auditFlags: Flags = {
  'audit-log': {
    type: 'string',
    value: 'FILE',
    multiple: true,
    help: 'Where audit records go, one JSON line each; - is standard output. A file is appended to. Given twice, both: one file and -.',
    default: '-',
    env: 'OSMO_ADMISSION_AUDIT_LOG',
  },
  'audit-log-max-size': {
    type: 'string',
    value: 'SIZE',
    help: 'A file that would grow beyond this is renamed, and a new one begun; 0 = never.',
    default: '100Mi',
    env: 'OSMO_ADMISSION_AUDIT_LOG_MAX_SIZE',
  },
  'audit-log-max-age': {
    type: 'string',
    value: 'DURATION',
    help: 'The same for a file that is older than this, at its next record; 0 = never.',
    default: '0',
    env: 'OSMO_ADMISSION_AUDIT_LOG_MAX_AGE',
  },
  'audit-log-keep': {
    type: 'string',
    value: 'NUMBER',
    help: 'How many renamed files are kept; 0 = all.',
    default: '30',
    env: 'OSMO_ADMISSION_AUDIT_LOG_KEEP',
  },
  'no-audit-log-compress': {
    type: 'boolean',
    help: 'Do not compress renamed files.',
    env: 'OSMO_ADMISSION_NO_AUDIT_LOG_COMPRESS',
  },
  'audit-fsync': {
    type: 'string',
    value: 'WHEN',
    help: 'When records are forced to the disk: always (each answer waits for it), interval (every second) or none.',
    default: 'interval',
    env: 'OSMO_ADMISSION_AUDIT_FSYNC',
  },
  'audit-on-error': {
    type: 'string',
    value: 'WHAT',
    help: 'When a record cannot be written: continue (it is counted as lost) or deny (HTTP 500, so that failurePolicy decides).',
    default: 'continue',
    env: 'OSMO_ADMISSION_AUDIT_ON_ERROR',
  },
  'audit-signing-key': {
    type: 'string',
    value: 'FILE',
    help: 'PEM of the Ed25519 key that signs checkpoints; made where there is no such file.',
    default: 'no checkpoints',
    env: 'OSMO_ADMISSION_AUDIT_SIGNING_KEY',
  },
  'audit-checkpoint-records': {
    type: 'string',
    value: 'NUMBER',
    help: 'A checkpoint after so many records at the latest.',
    default: '1000',
    env: 'OSMO_ADMISSION_AUDIT_CHECKPOINT_RECORDS',
  },
  'audit-checkpoint-interval': {
    type: 'string',
    value: 'DURATION',
    help: 'And after so long, where there are new records.',
    default: '1m',
    env: 'OSMO_ADMISSION_AUDIT_CHECKPOINT_INTERVAL',
  },
  'cluster-name': {
    type: 'string',
    value: 'NAME',
    help: 'The cluster’s name, as records give it.',
    env: 'OSMO_ADMISSION_CLUSTER_NAME',
  },
};

const maxNameLength = 253;

/** @param replica names this process where the environment has no POD_NAME. @throws UsageError naming the flag and what to give it. */
export function readAuditFlags(parsed: ParsedFlags, replica: string): AuditSettings {
  const logs = parsed.strings('audit-log');
  const files = logs.filter((log) => log !== '-');
  if (files.length > 1) throw new UsageError('--audit-log: give one file at most, and - for standard output');
  const file = files[0];
  return {
    stdout: file === undefined || logs.includes('-'),
    file,
    maxBytes: size(parsed, 'audit-log-max-size', '100Mi'),
    maxAgeMs: duration(parsed, 'audit-log-max-age', '0', 0),
    keep: number(parsed, 'audit-log-keep', 30, 0),
    compress: !parsed.boolean('no-audit-log-compress'),
    fsync: choice(parsed, 'audit-fsync', ['interval', 'always', 'none']),
    onError: choice(parsed, 'audit-on-error', ['continue', 'deny']),
    signingKey: parsed.string('audit-signing-key'),
    checkpointRecords: number(parsed, 'audit-checkpoint-records', 1_000, 1),
    checkpointIntervalMs: duration(parsed, 'audit-checkpoint-interval', '1m', 1_000),
    cluster: name(parsed.string('cluster-name') ?? ''),
    replica: clip(replica, maxNameLength),
  };
}

function name(text: string): string {
  if (text.length > maxNameLength) throw new UsageError(`--cluster-name is longer than ${maxNameLength} characters`);
  return text;
}

function size(parsed: ParsedFlags, flag: string, fallback: string): number {
  const text = parsed.string(flag) ?? fallback;
  const nano = parseQuantity(text);
  if (nano === undefined || nano < 0n) {
    throw new UsageError(`--${flag} is ${JSON.stringify(text)}: give a size such as 100Mi`);
  }
  return Number(nano / 1_000_000_000n);
}

function duration(parsed: ParsedFlags, flag: string, fallback: string, leastMs: number): number {
  const text = parsed.string(flag) ?? fallback;
  const ms = parseGoDuration(text);
  if (ms === undefined || ms < leastMs) {
    const least = leastMs === 0 ? '' : ` of at least ${leastMs / 1000}s`;
    throw new UsageError(`--${flag} is ${JSON.stringify(text)}: give a duration such as 24h${least}`);
  }
  return ms;
}

function number(parsed: ParsedFlags, flag: string, fallback: number, least: number): number {
  const text = parsed.string(flag) ?? String(fallback);
  if (!/^\d{1,9}$/.test(text) || Number(text) < least) {
    throw new UsageError(`--${flag} is ${JSON.stringify(text)}: give a whole number from ${least}`);
  }
  return Number(text);
}

/** The first of the choices is the default. */
function choice<T extends string>(parsed: ParsedFlags, flag: string, choices: readonly [T, ...T[]]): T {
  const text = parsed.string(flag) ?? choices[0];
  const found = choices.find((value) => value === text);
  if (found === undefined) throw new UsageError(`--${flag} is ${JSON.stringify(text)}: give ${choices.join(' or ')}`);
  return found;
}
