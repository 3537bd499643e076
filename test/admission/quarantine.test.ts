import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Admission, createAdmit } from '../../src/admission/admit.ts';
import { createFixedNodes } from '../../src/cluster/nodes-file.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import { markLabel, verifiedAnnotation } from '../../src/policy/model/node.ts';
import { unsignedNotes } from '../../src/policy/model/notes.ts';
import { readNode } from '../../src/policy/model/read-node.ts';
import { readRequest } from '../../src/policy/model/read-request.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { offlinePods } from '../../src/policy/model/snapshot.ts';
import { marksDue, type ReconcileInput } from '../../src/policy/quarantine.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { fixtureNode, type KubeObject } from '../support/fixtures.ts';
import { apply, type Operation } from '../support/json-patch.ts';

const ownUser = 'system:serviceaccount:osmo-admission:osmo-admission-webhook';
const policyOf = (quarantine: object = {}, conformance: object = {}) =>
  createPolicyParser({ rules, ownUser })(
    stringify({
      apiVersion: 'osmo-admission/v1alpha1',
      kind: 'AdmissionPolicy',
      rules: { 'node-quarantine': quarantine, 'node-conformance': conformance },
    }),
    'policy.yaml',
  );

const driver = '/metadata/labels/nvidia.com~1cuda.driver-version.full';
const gpu = (...changes: readonly Operation[]): KubeObject => apply(fixtureNode('gpu-1'), changes) as KubeObject;
const tooOld: Operation = { op: 'replace', path: driver, value: '535.104.05' };
const mark = (value: string): Operation => ({
  op: 'add',
  path: `/metadata/labels/${markLabel.replace('/', '~1')}`,
  value,
});
const annotation = (value: string): Operation => ({
  op: 'add',
  path: '/metadata/annotations',
  value: { [verifiedAnnotation]: value },
});
/** The driver is not known yet. */
const unknown: readonly Operation[] = ['full', 'major', 'minor', 'revision'].map((part) => ({
  op: 'remove',
  path: `/metadata/labels/nvidia.com~1cuda.driver-version.${part}`,
}));

interface Write {
  readonly phase?: Phase;
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly subResource?: string;
}

async function update(object: KubeObject, oldObject: KubeObject, write: Write = {}): Promise<Admission> {
  const policy = policyOf();
  const admit = createAdmit({
    ...{ rules, policy: () => policy, nodes: createFixedNodes(new Map()), now: () => 0, monotonic: () => 0 },
    ...{ pods: offlinePods, notes: unsignedNotes },
  });
  const { phase = 'validate', user = 'root', groups = ['system:masters'], subResource = '' } = write;
  return admit(
    phase,
    readRequest({
      uid: 'u',
      operation: 'UPDATE',
      kind: { group: '', version: 'v1', kind: 'Node' },
      resource: { group: '', version: 'v1', resource: 'nodes' },
      subResource,
      name: 'gpu-1',
      userInfo: { username: user, groups },
      object,
      oldObject,
    }),
    1_000,
  );
}

describe('validation, where mutation did not run', () => {
  it('denies a kubelet that changes its type, which mutation would have put back', async () => {
    const operator: Operation = { op: 'replace', path: '/metadata/labels/node-type', value: 'operator' };
    const kubelet = { user: 'system:node:gpu-1', groups: ['system:nodes'] };
    const { response } = await update(gpu(operator), gpu(), kubelet);
    expect(response.status?.message).toContain('(node-identity/kubelet-type)');
    const { patch } = await update(gpu(operator), gpu(annotation('gpu')), { ...kubelet, phase: 'mutate' });
    expect(patch).toContainEqual({ op: 'add', path: '/metadata/labels/node-type', value: 'gpu' });
  });

  it('denies what leaves the mark or the annotation other than computed, whoever writes', async () => {
    const { response } = await update(gpu(tooOld), gpu(tooOld, mark('violated')));
    expect(response.status?.code).toBe(403);
    expect(response.status?.message).toContain(
      'metadata.labels[osmo-admission/quarantined] of node gpu-1 would be without both',
    );
    const forged = await update(gpu(tooOld, annotation('gpu')), gpu(tooOld));
    expect(forged.response.status?.message).toContain('metadata.annotations[osmo-admission/verified]');
  });

  it('only records it on a kubelet’s status, since a denial costs the heartbeat', async () => {
    const kubelet = { user: 'system:node:gpu-1', groups: ['system:nodes'], subResource: 'status' };
    const { response, record } = await update(gpu(tooOld), gpu(tooOld, mark('violated')), kubelet);
    expect(response.allowed).toBe(true);
    expect(record.findings).toMatchObject([{ rule: 'node-quarantine', reason: 'moved', enforcement: 'audit' }]);
    expect(
      (await update(gpu(tooOld), gpu(tooOld, mark('violated')), { ...kubelet, user: 'x', groups: [] })).response
        .allowed,
    ).toBe(false);
  });
});

describe('a write by the webhook’s own service account', () => {
  it('stands as written, in both phases', async () => {
    for (const phase of ['mutate', 'validate'] as const) {
      const { response, patch } = await update(gpu(tooOld, mark('violated')), gpu(tooOld), {
        phase,
        user: ownUser,
        groups: [],
      });
      expect(response.allowed).toBe(true);
      expect(patch).toEqual([]);
    }
  });

  it('is no business of node-identity', async () => {
    const relabelled = gpu({ op: 'replace', path: '/metadata/labels/node-type', value: 'compute' });
    const reasons = async (user: string): Promise<readonly string[]> =>
      (await update(relabelled, gpu(), { user, groups: [] })).record.findings.map(({ reason }) => reason);
    expect(await reasons('system:serviceaccount:osmo-admission:other')).toContain('other-type');
    expect(await reasons(ownUser)).not.toContain('other-type');
  });
});

describe('the marks that a node should have, seen from the watch', () => {
  const onSinceMs = Date.parse('2026-11-25T10:00:00Z');
  const created = (time: string): Operation => ({ op: 'add', path: '/metadata/creationTimestamp', value: time });
  const young = created('2026-11-25T11:00:00Z');
  const old = created('2026-11-25T09:00:00Z');
  const due = (node: KubeObject, more: Partial<ReconcileInput> = {}): string => {
    const { mark: due, verified } = marksDue({
      ...{ node: readNode(node, 'Node'), policy: policyOf(), awaited: [], awaitForMs: 900_000 },
      ...{ onSinceMs, nowMs: Date.parse('2026-11-25T11:05:00Z') },
      ...more,
    });
    return `${due ?? '-'} ${verified ?? '-'}`;
  };
  const controlPlane = (value: string): Operation => ({
    op: 'add',
    path: '/metadata/labels/node-role.kubernetes.io~1control-plane',
    value,
  });
  const awaiting = { policy: policyOf({ awaited: ['driver'] }), awaited: ['driver' as const] };

  it.each([
    ['a new node that violates', gpu(young, tooOld), 'violated -'],
    ['one that was there before quarantine was switched on', gpu(old, tooOld), '- -'],
    ['one created in that very second', gpu(created('2026-11-25T10:00:00Z'), tooOld), 'violated -'],
    ['a verified one', gpu(young, tooOld, annotation('gpu')), '- gpu'],
    ['one verified as another type', gpu(young, tooOld, annotation('compute')), 'violated compute'],
    ['an older one that is marked', gpu(old, tooOld, mark('violated')), 'violated -'],
    ['one that meets', gpu(young, mark('violated')), '- gpu'],
    ['one whose violated fact is not shown any more', gpu(young, mark('violated'), ...unknown), 'violated -'],
    ['a new one that owes nothing awaited', gpu(young, ...unknown), '- -'],
    ['a control-plane node that violates', gpu(young, tooOld, controlPlane('')), '- -'],
    ['one that was marked before it became one', gpu(young, tooOld, mark('violated'), controlPlane('')), 'violated -'],
    ['one that meets', gpu(young, controlPlane('')), '- gpu'],
  ])('%s', (_, node, expected) => {
    expect(due(node)).toBe(expected);
  });

  it.each([
    ['a new node that owes what is awaited', gpu(young, ...unknown), 'awaited -'],
    ['an old one', gpu(old, ...unknown), '- -'],
    ['one that violates what was awaited', gpu(young, tooOld, mark('awaited')), 'violated -'],
    ['one that meets what was awaited', gpu(young, mark('awaited')), '- gpu'],
  ])('awaited: %s', (_, node, expected) => {
    expect(due(node, awaiting)).toBe(expected);
  });

  it('awaited: ends with awaitFor, by the node’s own creation time', () => {
    const node = gpu(young, mark('awaited'), ...unknown);
    const at = (time: string): string => due(node, { ...awaiting, nowMs: Date.parse(time) });
    expect(at('2026-11-25T11:14:59Z')).toBe('awaited -');
    expect(at('2026-11-25T11:15:00Z')).toBe('- -');
  });

  it('settles: what is due of a node that has it is the same', () => {
    for (const node of [gpu(young, tooOld), gpu(young), gpu(old, tooOld), gpu(young, ...unknown)]) {
      const [mark = '-', verified = '-'] = due(node).split(' ');
      const settled = apply(node, [
        ...(mark === '-'
          ? []
          : [{ op: 'add' as const, path: '/metadata/labels/osmo-admission~1quarantined', value: mark }]),
        ...(verified === '-' ? [] : [annotation(verified)]),
      ]) as KubeObject;
      expect(due(settled)).toBe(`${mark} ${verified}`);
    }
  });
});

describe('a mark', () => {
  const role: Operation = { op: 'add', path: '/metadata/labels/node-role.kubernetes.io~1control-plane', value: '' };

  it('is not got rid of by calling the node a control plane for a while', async () => {
    const marked = gpu(tooOld, mark('violated'));
    const { patch } = await update(gpu(tooOld, mark('violated'), role), marked, { phase: 'mutate' });
    expect(patch).toEqual([]);
  });
});

describe('the settings', () => {
  it.each([
    [{ awaited: ['jetpack'] }, {}, 'jetpack is awaited, but no label is named that states it'],
    [{ awaited: ['cpu'] }, {}, 'cpu is awaited, but its enforcement is enforce, not quarantine'],
    [{ awaitFor: '15' }, {}, 'awaitFor'],
  ])('%j is refused', (quarantine, conformance, message) => {
    expect(() => policyOf(quarantine, conformance)).toThrow(message);
  });
});
