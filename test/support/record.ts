import type { AuditRecord } from '../../src/policy/model/record.ts';

/** The audit record of a pod that was admitted, but for what is given. */
export const record = (over: Partial<AuditRecord>): AuditRecord => ({
  kind: 'AdmissionRecord',
  time: '2026-11-25T12:00:00.000Z',
  phase: 'validate',
  requestUID: 'uid-of-a-user',
  callerVerified: false,
  user: { username: 'alice-the-user', groups: ['a-group'] },
  verb: 'create',
  objectRef: {
    apiGroup: '',
    apiVersion: 'v1',
    resource: 'pods',
    subresource: '',
    namespace: 'a-namespace',
    name: 'a-name',
  },
  dryRun: false,
  decision: 'allow',
  rules: ['operator-node-guard', 'placement'],
  findings: [],
  warnings: [],
  patch: [],
  exemptions: [],
  policyDigest: 'a'.repeat(64),
  nodes: { state: 'synced', resourceVersion: '1', ageSeconds: 0 },
  durationSeconds: 0.0004,
  ...over,
});
