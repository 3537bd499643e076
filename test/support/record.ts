import type { AuditRecord } from '../../src/policy/model/record.ts';

/** The audit record of a pod that was admitted, but for what is given. */
export const record = (over: Partial<AuditRecord>): AuditRecord => ({
  kind: 'AdmissionRecord',
  time: '2026-11-25T12:00:00.000Z',
  phase: 'validate',
  requestUID: 'uid-of-a-user',
  callerVerified: false,
  user: { groups: ['a-group'], username: 'alice-the-user' },
  verb: 'create',
  objectRef: {
    apiGroup: '',
    apiVersion: 'v1',
    name: 'a-name',
    namespace: 'a-namespace',
    resource: 'pods',
    subresource: '',
  },
  dryRun: false,
  decision: 'allow',
  rules: ['operator-node-guard', 'placement'],
  findings: [],
  warnings: [],
  patch: [],
  exemptions: [],
  policyDigest: 'a'.repeat(64),
  nodes: { ageSeconds: 0, resourceVersion: '1', state: 'synced' },
  durationSeconds: 0.0004,
  ...over,
});
