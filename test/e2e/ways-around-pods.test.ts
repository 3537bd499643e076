import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { kubeletOf } from './support/nodes.ts';
import { kubeletPolicy } from './support/policy.ts';
import {
  author,
  gate,
  harmless,
  isExcluded,
  nodeOfPod,
  podOf,
  podsOf,
  prepareWays,
  storedPod,
  toOps,
  verdict,
} from './support/ways.ts';

/* Ways in which a workflow pod is made that could end on an operator node, each tried by a user with the rights to it. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'), ['ops-1']);
  webhook = await install(plane, { policy: kubeletPolicy() });
  await prepareWays(plane);
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const kubectl = async (args: readonly string[], object: object): Promise<string> =>
  verdict(await plane.kubectl([...args, '-f', '-', '--as', author.user], { stdin: stringify(object) }));

const create = (object: object): Promise<string> => kubectl(['create'], object);

describe('spec.nodeName', () => {
  it('of an operator node is denied', async () => {
    expect(await create(podOf('pinned', { nodeName: 'ops-1' }))).toBe('operator-node-guard/bound');
  });

  it('of a node that does not exist is denied', async () => {
    expect(await create(podOf('pinned', { nodeName: 'nowhere' }))).toBe('operator-node-guard/bound');
  });

  it('of a compute node is admitted, with the exclusion, which a kubelet checks too', async () => {
    expect(await create(podOf('named', { nodeName: 'compute-a' }))).toBe('admitted');
    expect(isExcluded(await storedPod(plane, 'named'))).toBe(true);
  });
});

describe('a mirror pod', () => {
  /** As a kubelet shows a static pod, which it runs already. */
  async function mirror(name: string): Promise<KubeObject> {
    const { body: node } = await plane.api.send('GET', '/api/v1/nodes/ops-1');
    return podOf(
      name,
      { nodeName: 'ops-1', tolerations: [{ operator: 'Exists', effect: 'NoExecute' }] },
      {
        annotations: { 'kubernetes.io/config.mirror': 'x', 'kubernetes.io/config.source': 'file' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'ops-1', uid: node.metadata.uid, controller: true }],
      },
    );
  }

  it('of the kubelet itself is admitted as it is, and recorded', async () => {
    const said = await plane.kubectl(['create', '-f', '-'], {
      stdin: stringify(await mirror('static-ops-1')),
      as: 'ops-1',
    });
    expect(verdict(said)).toBe('admitted');
    expect(said.stderr).toBe('');
    expect((await storedPod(plane, 'static-ops-1')).spec.affinity).toBeUndefined();
    await eventually('the record', () =>
      webhook.records().some(({ user, decision, findings }) => {
        const ids = findings.map(({ reason, enforcement }) => `${reason} ${enforcement}`);
        return (
          user.username === 'system:node:ops-1' &&
          decision === 'allow' &&
          ids.join() === 'tolerates audit,selects audit,bound audit'
        );
      }),
    );
  });

  it('that a user forges is denied like any other pod', async () => {
    expect(await create(await mirror('forged-ops-1'))).toContain('operator-node-guard/bound');
    // Another kubelet's is none of ours: the API server refuses it.
    const { body } = await plane.api.send('POST', podsOf(), await mirror('other-ops-1'), {
      as: kubeletOf('compute-a'),
    });
    expect(body.message).toContain('can only create pods with spec.nodeName set to itself');
  });
});

describe('a RuntimeClass', () => {
  beforeAll(async () => {
    const runtimeClass = (name: string, scheduling: object): object => ({
      ...{ apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name } },
      ...{ handler: 'x', scheduling },
    });
    await plane.apply(
      ['create', '-f', '-'],
      [
        runtimeClass('tolerating', { tolerations: [toOps] }),
        runtimeClass('selecting', { nodeSelector: { 'node-type': 'operator' } }),
        runtimeClass('plain', { nodeSelector: { 'node-type': 'compute' }, tolerations: [harmless] }),
      ],
    );
  }, 60_000);

  it('that tolerates or selects for the pod is judged as if the pod said it', async () => {
    expect(await create(podOf('r', { runtimeClassName: 'tolerating' }))).toBe('operator-node-guard/tolerates');
    expect(await create(podOf('r', { runtimeClassName: 'selecting' }))).toContain('operator-node-guard/selects');
    expect(await create(podOf('r', { runtimeClassName: 'plain' }))).toBe('admitted');
    expect(await nodeOfPod(plane, 'r')).toBe('compute-a');
  });
});

describe('every verb that makes a pod', () => {
  const tolerating = (name: string): KubeObject => podOf(name, { tolerations: [toOps] });
  const apply = (manager: string): readonly string[] => ['apply', '--server-side', `--field-manager=${manager}`];

  it('create, with a name or a generateName', async () => {
    expect(await create(tolerating('c'))).toBe('operator-node-guard/tolerates');
    const unnamed = podOf('', { tolerations: [toOps] }, { name: undefined, generateName: 'g-' });
    expect(await create(unnamed)).toBe('operator-node-guard/tolerates');
    expect(await create(podOf('', {}, { name: undefined, generateName: 'g-' }))).toBe('admitted');
    const made = (await plane.api.list(podsOf())).filter(({ metadata }) => Object(metadata).name.startsWith('g-'));
    expect(made.map(isExcluded)).toEqual([true]);
  });

  it('apply by the client, twice: the second changes nothing', async () => {
    expect(await kubectl(['apply'], tolerating('a'))).toBe('operator-node-guard/tolerates');
    const said = async (): Promise<string> =>
      (
        await plane.kubectl(['apply', '-f', '-', '--as', author.user], { stdin: stringify(podOf('applied', gate)) })
      ).stdout.trim();
    expect(await said()).toBe('pod/applied created');
    expect(await said()).toBe('pod/applied unchanged');
    expect(isExcluded(await storedPod(plane, 'applied'))).toBe(true);
  });

  it('server-side apply, by one field manager and then by another that takes the affinity over', async () => {
    expect(await kubectl(apply('one'), tolerating('s'))).toBe('operator-node-guard/tolerates');
    expect(await kubectl(apply('one'), podOf('s', gate))).toBe('admitted');
    expect(await kubectl(apply('one'), podOf('s', { ...gate, nodeSelector: { disk: 'ssd' } }))).toBe('admitted');
    const wide = {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'Exists' }] }],
        },
      },
    };
    // The exclusion is put back behind what is new, and the API server lets nothing stand before what was there.
    const taken = await kubectl([...apply('two'), '--force-conflicts'], podOf('s', { affinity: wide }));
    expect(taken).toContain('only additions are allowed');
    const stored = await storedPod(plane, 's');
    expect(isExcluded(stored)).toBe(true);
    expect(stored.spec.nodeSelector).toEqual({ disk: 'ssd' });
  });

  it('in every namespace with the labels, and nowhere else', async () => {
    const elsewhere = (labels: object): KubeObject =>
      podOf('e', { tolerations: [toOps] }, { namespace: 'default', labels });
    expect(await create(elsewhere({ 'osmo.workflow_uuid': 'w', 'osmo.task_uuid': 't' }))).toBe(
      'operator-node-guard/tolerates',
    );
    expect(await create(elsewhere({ 'osmo.workflow_uuid': 'w' }))).toBe('admitted');
  });
});
