import type { SigningKey } from '../../src/audit/signing.ts';
import { compileDefaults, createPolicyParser } from '../../src/config/parse.ts';
import { printPolicy } from '../../src/config/print-policy.ts';
import { readRequest } from '../../src/policy/model/read-request.ts';
import type { AuditRecord } from '../../src/policy/model/record.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { inputObject, readCaseFiles } from '../golden/case.ts';
import { reviewOf, worldOf } from '../golden/entries.ts';
import { createLog } from './audit-log.ts';
import { apply } from './json-patch.ts';

/*
 * A month of a cluster's log for the tests of the report, of any size: each record is what the product answered to a golden case, with a
 * user, a namespace and a name of the month's own. The same size gives the same log.
 */

export interface ReportLogOptions {
  readonly decisions: number;
  readonly key?: SigningKey;
  readonly replica?: string;
}

const startMs = Date.UTC(2026, 9, 26, 6);
const monthMs = 30 * 86_400_000;

/** When the month ends. */
export const reportLogEndMs = startMs + monthMs;

let known: Promise<readonly AuditRecord[]> | undefined;

/** What the product answers to every golden case, as its records hold it. */
export function goldenRecords(): Promise<readonly AuditRecord[]> {
  known ??= answerAll();
  return known;
}

async function answerAll(): Promise<readonly AuditRecord[]> {
  const records: AuditRecord[] = [];
  for (const golden of readCaseFiles().flatMap(({ cases }) => cases)) {
    const { admit } = worldOf(golden);
    const object = inputObject(golden);
    const mutated = await admit('mutate', readRequest(reviewOf(golden, object).request), 1_000);
    const patched = apply(object, mutated.patch);
    const validated = await admit('validate', readRequest(reviewOf(golden, patched).request), 1_000);
    records.push(mutated.record, validated.record);
  }
  return records;
}

/** Text of the log. */
export async function reportLog({ decisions, key, replica = 'webhook-0' }: ReportLogOptions): Promise<string> {
  const records = await goldenRecords();
  const pick = createPick();
  const plain = records.filter(
    ({ decision, findings, exemptions }) => decision === 'allow' && findings.length === 0 && exemptions.length === 0,
  );
  const other = records.filter((record) => !plain.includes(record));
  const users = ['backend-worker', 'backend-listener', 'pipelines', 'notebooks', 'nightly', 'research-sync'].map(
    (name) => `system:serviceaccount:osmo-operator:${name}`,
  );
  const namespaces = [
    'osmo-workflows',
    'osmo-workflows',
    'osmo-workflows',
    'osmo-research',
    'osmo-nightly',
    'robotics',
  ];
  const log = createLog({
    replica,
    fromMs: startMs,
    paceMs: Math.floor(monthMs / (decisions + 80)),
    ...(key !== undefined && { key }),
  });
  const policies = (['enforce', 'enforce', 'monitor', 'enforce'] as const).map((preset, version) =>
    policyText(preset, version),
  );
  log.start();
  addPolicy(log, policies[0] ?? '');
  for (let i = 1; i <= decisions; i++) {
    const turn = i / decisions;
    // Trouble comes in bursts.
    const isBurst = (turn > 0.28 && turn < 0.33) || (turn > 0.7 && turn < 0.72);
    const record = pick(100) < (isBurst ? 30 : 4) ? other[pick(other.length)] : plain[pick(plain.length)];
    if (record !== undefined)
      log.decide(
        varied(
          record,
          i,
          users[skewed(pick, users.length)] ?? '',
          namespaces[pick(namespaces.length)] ?? '',
          pick(1_000_000),
        ),
      );
    if (i % Math.ceil(decisions / 40) === 0) log.checkpoint();
    const version = Math.floor(turn * policies.length);
    if (version !== Math.floor(((i - 1) / decisions) * policies.length) && version < policies.length)
      addPolicy(log, policies[version] ?? '');
    if (i === Math.floor(decisions * 0.4)) log.lose(3);
    if (i === Math.floor(decisions * 0.55)) {
      log.stop();
      log.rest(20);
      log.start();
      addPolicy(log, policies[version] ?? '');
    }
  }
  log.stop();
  return log.text();
}

/** A policy comes into force. */
export function addPolicy(log: ReturnType<typeof createLog>, text: string): void {
  const { digest, policy } = createPolicyParser({ rules })(text, 'the policy');
  log.add({
    kind: 'PolicyRecord',
    time: log.time(),
    outcome: 'loaded',
    digest,
    preset: policy.preset,
    policyText: text,
  });
}

/** A policy of the month, with its exemptions. */
export function policyText(preset: 'enforce' | 'monitor', version: number): string {
  const { policy } = compileDefaults({ rules });
  const exemptions = [
    ...policy.exemptions,
    {
      reason: 'restores of the storage team',
      users: ['system:serviceaccount:velero:velero'],
      until: `2026-12-0${version + 1}`,
    },
    { reason: 'break glass', groups: ['platform-oncall'], until: '2027-03-31' },
  ];
  return printPolicy({ ...policy, preset, exemptions });
}

function varied(record: AuditRecord, i: number, user: string, namespace: string, suffix: number): Partial<AuditRecord> {
  const { time: _, requestUID: __, objectRef, ...rest } = record;
  const isNode = objectRef.resource === 'nodes';
  const name = isNode
    ? `${objectRef.name}-${record.findings.length * 3 + (record.findings[0]?.reason.length ?? 0)}`
    : `${objectRef.name.slice(0, 40)}-${suffix.toString(36)}`;
  return {
    ...rest,
    requestUID: `${i.toString(16).padStart(8, '0')}-${suffix.toString(16).padStart(4, '0').slice(0, 4)}-4000-8000-${(suffix * 7919).toString(16).padStart(12, '0').slice(0, 12)}`,
    objectRef: { ...objectRef, name, namespace: isNode ? '' : namespace },
    user: { ...rest.user, username: isNode ? `system:node:${name}` : user },
    durationSeconds: (suffix % 900) / 1_000_000,
  };
}

/** Whole numbers below a bound, the same in each run (a linear congruential generator, Numerical Recipes). */
function createPick(): (below: number) => number {
  let state = 20_261_125;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The first are the most frequent. */
function skewed(pick: (below: number) => number, length: number): number {
  return Math.min(pick(length), pick(length));
}
