import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { buildReview } from '../../scripts/review-client.ts';
import { createAdmit } from '../../src/admission/admit.ts';
import { createReviewHandler } from '../../src/admission/handler.ts';
import { maxValues } from '../../src/admission/json-bounds.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import type { Answer } from '../../src/policy/model/handler.ts';
import { unsignedNotes } from '../../src/policy/model/notes.ts';
import type { AuditRecord } from '../../src/policy/model/record.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { offlineNodes, offlinePods } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';

/*
 * A review that is more than is parsed is denied for what stands before its object. Left to failurePolicy it would be admitted where that is
 * Ignore, and who makes the object chooses its size.
 */

interface Judged {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an AdmissionReview or a Status.
  readonly body: any;
  readonly records: readonly AuditRecord[];
}

async function judge(phase: Phase, body: string, policy: object = {}): Promise<Judged> {
  const records: AuditRecord[] = [];
  const parsed = createPolicyParser({ rules })(
    stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...policy }),
    'policy.yaml',
  );
  const handler = createReviewHandler({
    admit: createAdmit({
      ...{ rules, policy: () => parsed, nodes: offlineNodes, pods: offlinePods, notes: unsignedNotes },
      ...{ now: () => 0, monotonic: () => 0 },
    }),
    rules,
    audit: {
      write(record) {
        records.push(record);
        return { hash: 'h' };
      },
    },
    observer: { decided: () => undefined, failed: () => undefined },
    monotonic: () => 0,
    log: () => undefined,
  });
  const answer: Answer = await handler(phase, Buffer.from(body), 1_000, true);
  return { status: answer.status, body: JSON.parse(answer.body), records };
}

const nothing = Array.from({ length: maxValues }, () => '');
const pod = {
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'elsewhere' } },
  spec: { containers: [{ name: 'c', image: 'i', args: nothing }] },
};
const node = {
  ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } },
  status: { images: [{ names: nothing }] },
};
const review = (object: object, changes: object = {}): string => {
  const { request, ...rest } = buildReview(object, 'alice') as { request: object };
  return JSON.stringify({ ...rest, request: { ...request, ...changes } });
};

describe('a review of more values than are parsed', () => {
  it('of a pod is denied, recorded, and says what to do', async () => {
    const { status, body, records } = await judge('validate', review(pod));
    expect(status).toBe(200);
    const { allowed, status: said } = body.response;
    expect(allowed).toBe(false);
    expect(said).toEqual({
      code: 403,
      reason: 'Forbidden',
      message:
        'the review of this object holds more than 524288 values, so no rule can judge it: make the object smaller (operator-node-guard/too-large)',
    });
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      ...{ decision: 'deny', verb: 'create', user: { username: 'alice' }, callerVerified: true },
      objectRef: { resource: 'pods', namespace: 'elsewhere', name: 'p' },
      rules: ['operator-node-guard', 'placement', 'exemptions'],
    });
    expect(records[0]?.requestUID).toBe(body.response.uid);
  });

  it('is not patched, and not denied while mutating', async () => {
    const { body, records } = await judge('mutate', review(pod));
    expect(body.response.allowed).toBe(true);
    expect(body.response.patch).toBeUndefined();
    expect(records[0]?.findings.map(({ reason }) => reason)).toEqual(['too-large']);
  });

  it('of a change of a node is denied, whoever sends it', async () => {
    const { body } = await judge('validate', review(node, { operation: 'UPDATE', oldObject: node }));
    expect(body.response.allowed).toBe(false);
    expect(body.response.status.message).toContain('/too-large)');
  });

  it('is recorded alone under monitor', async () => {
    const { body, records } = await judge('validate', review(pod), { preset: 'monitor' });
    expect(body.response.allowed).toBe(true);
    expect(records[0]?.findings.map(({ enforcement }) => enforcement)).toEqual(['audit']);
  });

  it('is answered by a rule that is on', async () => {
    const off = Object.fromEntries(['operator-node-guard', 'placement'].map((id) => [id, { enforcement: 'off' }]));
    const { body } = await judge('validate', review({ ...pod, kind: 'Pod' }), { rules: off });
    expect(body.response.allowed).toBe(false);
    expect(body.response.status.message).toContain('(exemptions/too-large)');
  });
});
