import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Admission, createAdmit } from '../../src/admission/admit.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import { unsignedNotes } from '../../src/policy/model/notes.ts';
import type { CompiledPolicy } from '../../src/policy/model/policy.ts';
import { readNode } from '../../src/policy/model/read-node.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { type NodeLookup, type NodeSnapshot, offlinePods } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { fixtureNode, type KubeObject } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';
import { podCreation } from '../support/pod-creation.ts';

/* The answer to a review is that of one policy and one snapshot, whatever changes while it is judged; and the record says which. */

const policyOf = (sections: object = {}): CompiledPolicy =>
  createPolicyParser({ rules })(
    stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...sections }),
    'policy.yaml',
  );
const snapshotOf = (resourceVersion: string, ...names: readonly string[]): NodeSnapshot => ({
  state: 'synced',
  nodes: new Map(names.map((name) => [name, readNode(fixtureNode(name), 'Node')])),
  resourceVersion,
  confirmedAtMs: 0,
});

interface Replica {
  policy: CompiledPolicy;
  snapshot: NodeSnapshot;
  /** What a live look-up of a node answers, when it does. */
  lookUp: () => Promise<NodeLookup>;
}

const replicaOf = (over: Partial<Replica> = {}): Replica => ({
  policy: policyOf(),
  snapshot: snapshotOf('100'),
  lookUp: () => Promise.resolve({ state: 'absent' }),
  ...over,
});

function ask(replica: Replica, phase: Phase, object: unknown): Admission | Promise<Admission> {
  const admit = createAdmit({
    rules,
    policy: () => replica.policy,
    nodes: { snapshot: () => replica.snapshot, lookUp: () => replica.lookUp() },
    ...{ pods: offlinePods, notes: unsignedNotes, now: () => 0, monotonic: () => 0 },
  });
  return admit(phase, podCreation(object), 1_000);
}

const podOf = (spec: object): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'osmo-workflows' },
  spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
});
const exclusion = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [
        {
          matchExpressions: [
            { key: 'node-type', operator: 'NotIn', values: ['operator'] },
            { key: 'osmo-admission/quarantined', operator: 'DoesNotExist' },
          ],
        },
      ],
    },
  },
};

describe('a policy and nodes that change while a node is looked up', () => {
  it('change nothing of the answer in progress: it and its record are those of its start', async () => {
    const [before, after] = [policyOf(), policyOf({ preset: 'monitor' })];
    let answer: (found: NodeLookup) => void = () => undefined;
    const replica = replicaOf({
      policy: before,
      snapshot: snapshotOf('100', 'compute-1'),
      lookUp: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const asked = ask(replica, 'validate', podOf({ nodeName: 'late', affinity: exclusion }));
    replica.policy = after;
    replica.snapshot = snapshotOf('200', 'operator-1');
    answer({ state: 'found', node: { ...readNode(fixtureNode('operator-1'), 'Node'), name: 'late' } });
    const { record } = await asked;
    expect(record.decision).toBe('deny');
    expect(record.policyDigest).toBe(before.digest);
    expect(record.nodes.resourceVersion).toBe('100');
    // The next one is that of the new policy.
    const next = await ask(replica, 'validate', podOf({ nodeName: 'operator-1', affinity: exclusion }));
    expect([next.record.decision, next.record.policyDigest]).toEqual(['allow', after.digest]);
    expect(next.record.nodes.resourceVersion).toBe('200');
  });
});

describe('two replicas with different views of the nodes', () => {
  const gpuPod = podOf({ containers: [{ name: 'c', image: 'x', resources: { limits: { 'nvidia.com/gpu': '1' } } }] });
  const knowing = (): Replica => replicaOf({ snapshot: snapshotOf('200', 'gpu-1', 'compute-1', 'operator-1') });
  const behind = (): Replica => replicaOf({ snapshot: snapshotOf('100', 'compute-1', 'operator-1') });
  const unsynced = (): Replica =>
    replicaOf({ snapshot: { state: 'unsynced', nodes: new Map(), resourceVersion: '', confirmedAtMs: undefined } });
  const replicas = { knowing, behind, unsynced };

  for (const [mutating, first] of Object.entries(replicas)) {
    for (const [validating, second] of Object.entries(replicas)) {
      it(`do not refuse what the other placed: mutated by one that is ${mutating}, validated by one that is ${validating}`, async () => {
        const mutated = await ask(first(), 'mutate', gpuPod);
        const placed = apply(gpuPod, mutated.patch);
        const validated = await ask(second(), 'validate', placed);
        expect(validated.evaluation.denial).toBeUndefined();
        expect(JSON.stringify(placed)).toContain('{"key":"node-type","operator":"NotIn","values":["operator"]}');
        expect([mutated.record.nodes.resourceVersion, validated.record.nodes.resourceVersion]).toEqual([
          first().snapshot.resourceVersion,
          second().snapshot.resourceVersion,
        ]);
      });
    }
  }

  it('each answer for a node by what it knows, and say so: one that is behind asks the API server', async () => {
    const bound = podOf({ nodeName: 'operator-2', affinity: exclusion });
    const found = async (): Promise<NodeLookup> => ({
      state: 'found',
      node: readNode(fixtureNode('operator-2'), 'Node'),
    });
    const late = await ask(replicaOf({ snapshot: snapshotOf('100'), lookUp: found }), 'validate', bound);
    const early = await ask(replicaOf({ snapshot: snapshotOf('200', 'operator-2') }), 'validate', bound);
    expect([late, early].map(({ record }) => `${record.decision} ${record.nodes.resourceVersion}`)).toEqual([
      'deny 100',
      'deny 200',
    ]);
  });
});

describe('a policy that changes between the two reviews of a creation', () => {
  it('is named by their records; an exemption that is taken back in between makes no forgery of what is missing', async () => {
    const exempt = policyOf({ exemptions: [{ reason: 'debugging', users: ['alice'] }] });
    const mutated = await ask(replicaOf({ policy: policyOf() }), 'mutate', podOf({}));
    const validated = await ask(replicaOf({ policy: exempt }), 'validate', apply(podOf({}), mutated.patch));
    expect(validated.evaluation.denial).toBeUndefined();
    expect(mutated.record.policyDigest).not.toBe(validated.record.policyDigest);
  });
});
