import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { ApiAnswer, SendOptions } from '../cluster/api-client.ts';
import { type ControlPlane, kwokAnnotation } from '../cluster/control-plane.ts';
import { type Installation, install, namespace, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import type { Operation } from '../support/json-patch.ts';
import { kubeletOf, nodeLike, nodeOf } from './support/nodes.ts';

/*
 * How nodes come, go and come back, in the orders in which real clusters do it. A new kubelet that is refused and logs why: webhook.test.ts.
 * A node that the index lacks, or that nobody can ask for: node-watch.test.ts. The mark itself: quarantine.test.ts.
 */

const mark = 'osmo-admission/quarantined';
const verified = 'osmo-admission/verified';
const oldDriver = '535.104.05';
const admin = { user: 'kubernetes-admin', groups: ['kubeadm:cluster-admins', 'system:authenticated'] };
const cloudController = {
  user: 'system:serviceaccount:kube-system:cloud-controller-manager',
  groups: ['system:serviceaccounts', 'system:authenticated'],
};

let plane: ControlPlane;
let webhook: Installation;

const policy = (conformance: object = {}): string =>
  stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    rules: { 'node-conformance': conformance },
    exemptions: [
      { reason: 'a virtual kubelet', nodes: ['virtual-kubelet-1'] },
      { reason: 'Windows', nodes: ['win-1'], rules: ['node-conformance'] },
    ],
  });

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await plane.apply(
    ['apply', '-f', '-'],
    [
      clusterRole('cloud-controller', [
        { apiGroups: [''], resources: ['nodes', 'nodes/status'], verbs: ['get', 'patch'] },
      ]),
      clusterRoleBinding('cloud-controller', { kind: 'User', name: cloudController.user }),
      clusterRoleBinding('cluster-admin', { kind: 'Group', name: 'kubeadm:cluster-admins' }),
    ],
  );
  // There before anybody held it against the guide: the container runtime of this kubelet is none of the policy's.
  await plane.startKubelet('kubelet-1', 'node-type=compute');
  await eventually('it registers', async () => (await get('kubelet-1')).code === 200);
  await register(gpu('older', oldDriver));
  webhook = await install(plane, { policy: policy() });
  await untilLeading();
}, 120_000);

afterAll(() => plane?.close(), 60_000);

function clusterRole(name: string, rules: readonly object[]): object {
  return { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules };
}

function clusterRoleBinding(role: string, subject: object): object {
  const apiGroup = 'rbac.authorization.k8s.io';
  return {
    ...{ apiVersion: `${apiGroup}/v1`, kind: 'ClusterRoleBinding', metadata: { name: `registration-${role}` } },
    roleRef: { apiGroup, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup, ...subject }],
  };
}

const get = (name: string): Promise<ApiAnswer> => plane.api.send('GET', `/api/v1/nodes/${name}`);

/** Posts a node, as its own kubelet where nobody else is named. */
const register = (node: KubeObject, as = kubeletOf(nameOf(node))): Promise<ApiAnswer> =>
  plane.api.send('POST', '/api/v1/nodes', node, { as });
const nameOf = (node: KubeObject): string => Object(node.metadata).name;

const patch = (path: string, body: object, as: SendOptions['as'] & object): Promise<ApiAnswer> =>
  plane.api.send('PATCH', `/api/v1/nodes/${path}`, body, { as, contentType: 'application/strategic-merge-patch+json' });

const gpu = (name: string, driver = '550.144.03', changes: readonly Operation[] = []): KubeObject =>
  nodeLike('gpu-1', name, [
    { op: 'replace', path: '/metadata/labels/nvidia.com~1cuda.driver-version.full', value: driver },
    ...changes,
  ]);

/** Meets the guide by everything but its size: no row of it allows so little. */
const small: readonly Operation[] = [
  { op: 'replace', path: '/status/capacity/cpu', value: '2' },
  { op: 'replace', path: '/status/capacity/memory', value: '4Gi' },
];
const roleLabel = 'node-role.kubernetes.io/control-plane';
const roleTaint = { key: roleLabel, effect: 'NoSchedule' };
/** A control-plane node as kubeadm's kubelet registers it. */
const joining = (name: string): KubeObject =>
  nodeLike('control-1', name, [
    { op: 'replace', path: '/metadata/labels', value: { 'kubernetes.io/hostname': name } },
    { op: 'replace', path: '/spec', value: {} },
    ...small,
  ]);
/** A control-plane node of type operator, as an admin makes it: a kubelet may not set the role. */
const typedControlPlane = (name: string): KubeObject =>
  nodeLike('control-1', name, [{ op: 'add', path: '/metadata/labels/node-type', value: 'operator' }, ...small]);

const kept = (at: string, value: string): Operation => ({
  op: 'add',
  path: '/metadata/annotations',
  value: { [at]: value },
});
const address = (value: string): Operation => ({ op: 'replace', path: '/status/addresses/0/address', value });

async function marks(name: string): Promise<{ mark: string | undefined; verified: string | undefined }> {
  const { metadata } = (await get(name)).body;
  return { mark: metadata.labels[mark], verified: metadata.annotations?.[verified] };
}

/** Deletes a node; resolves once a node of that name is a new one to the webhook. */
async function remove(name: string): Promise<void> {
  const { code, body } = await plane.api.send('DELETE', `/api/v1/nodes/${name}`);
  if (code !== 200) throw new Error(body.message);
  await untilNewIsRefused(name);
}

/** Resolves once a node of that name that violates the guide would be refused as a new one. */
async function untilNewIsRefused(name: string): Promise<void> {
  await eventually(`node ${name} is a new one to the webhook`, async () => {
    const answer = await plane.api.send('POST', '/api/v1/nodes?dryRun=All', nodeOf(name, 'compute', 'v1.29.6'));
    return answer.code === 422;
  });
}

/** Resolves once the replica sets marks, and nodes that register are newer than the Lease, whose time has a resolution of a second. */
async function untilLeading(): Promise<void> {
  await eventually('a replica leads', async () =>
    /^osmo_admission_quarantine_leading 1$/m.test(await webhook.metrics()),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_100));
}

/** What was decided at validation of requests by one user. */
const judged = (user: string): ReturnType<Installation['records']> =>
  webhook.records().filter((record) => record.phase === 'validate' && record.user.username === user);

describe('a node that was there before the webhook, and violates the guide', () => {
  it('is not refused when its kubelet restarts with other labels: it keeps those it has, and reports its status again', async () => {
    const heartbeat = async (): Promise<string> =>
      (await get('kubelet-1')).body.status.conditions.find(({ type }: { type: string }) => type === 'Ready')
        .lastHeartbeatTime;
    await plane.stopKubelet('kubelet-1');
    const before = await heartbeat();
    const log = await plane.startKubelet('kubelet-1', 'node-type=gpu');
    await eventually('its CREATE is recorded', () =>
      judged('system:node:kubelet-1').some(({ verb, findings }) =>
        findings.some(({ reason }) => verb === 'create' && reason === 'container-runtime'),
      ),
    );
    await eventually('its status is reported', async () => (await heartbeat()) > before);
    const records = judged('system:node:kubelet-1');
    expect(records.filter(({ decision }) => decision !== 'allow')).toEqual([]);
    expect(records.flatMap(({ findings }) => findings.filter(({ enforcement }) => enforcement !== 'warn'))).toEqual([]);
    expect(readFileSync(log, 'utf8')).not.toContain('denied the request');
    expect((await get('kubelet-1')).body.metadata.labels['node-type']).toBe('compute');
  });

  it('is a new one once it is deleted: its kubelet is refused when it returns, and logs why', async () => {
    await plane.stopKubelet('kubelet-1');
    await remove('kubelet-1');
    const log = await plane.startKubelet('kubelet-1', 'node-type=compute');
    await eventually('the reason is in its log', () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .some((line) => line.includes('denied the request: ') && line.includes('(node-conformance/container-runtime)')),
    );
    await plane.stopKubelet('kubelet-1');
    expect((await get('kubelet-1')).code).toBe(404);
    await eventually('the denial is recorded', () => judged('system:node:kubelet-1').at(-1)?.decision === 'deny');
  });
});

describe('a node that is deleted and returns', () => {
  it('registers without a warning if it meets the guide', async () => {
    const node = nodeOf('returns', 'compute');
    expect(await register(node)).toMatchObject({ code: 201, warnings: [] });
    await remove('returns');
    expect(await register(node)).toMatchObject({ code: 201, warnings: [] });
  });

  it('is judged by what it shows then: neither its mark nor its verification outlives it', async () => {
    await register(gpu('mended', oldDriver));
    expect(await marks('mended')).toEqual({ mark: 'violated', verified: undefined });
    await remove('mended');
    await register(gpu('mended'));
    expect(await marks('mended')).toEqual({ mark: undefined, verified: 'gpu' });
    await remove('mended');
    await register(gpu('mended', oldDriver));
    expect(await marks('mended')).toEqual({ mark: 'violated', verified: undefined });
  });

  it('as another machine is a new node: not held against the address of the one that is gone, nor verified by it', async () => {
    await register(gpu('reused'));
    expect(await marks('reused')).toEqual({ mark: undefined, verified: 'gpu' });
    // While it is there, another address is one that changed.
    const moved = await register(gpu('reused', '550.144.03', [address('10.20.0.99')]));
    expect(moved.code).toBe(409);
    expect(moved.warnings.join()).toContain('(was 10.20.0.41), needs a stable');
    await remove('reused');
    // From a manifest that somebody kept.
    const other = nodeLike('compute-1', 'reused', [address('10.20.0.99'), kept(verified, 'gpu')]);
    expect(await register(other)).toMatchObject({ code: 201, warnings: [] });
    expect(await marks('reused')).toEqual({ mark: undefined, verified: 'compute' });
    await remove('reused');
    const worse = gpu('reused', oldDriver, [address('10.20.0.98'), kept(verified, 'gpu')]);
    expect((await register(worse)).warnings.join()).not.toContain('(node-conformance/address)');
    expect(await marks('reused')).toEqual({ mark: 'violated', verified: undefined });
  });
});

const tooSmall = (cpu: string, row: string): string => `cpu: has 2, needs ${cpu} for a ${row} node`;

describe('a control-plane node that is too small', () => {
  it('registers unjudged with neither taint nor label, as kubeadm lets it, and is warned when it gets both', async () => {
    expect(await register(joining('control-a'))).toMatchObject({ code: 201, warnings: [] });
    const marking = { metadata: { labels: { [roleLabel]: '' } }, spec: { taints: [roleTaint] } };
    const { code, warnings } = await patch('control-a', marking, admin);
    expect(code).toBe(200);
    expect(warnings.join()).toContain(tooSmall('12', 'control-plane'));
  });

  it('is warned where it registers with the taint, and not once more for the label', async () => {
    const tainted = { ...joining('control-b'), spec: { taints: [roleTaint] } };
    const { code, warnings } = await register(tainted);
    expect(code).toBe(201);
    expect(warnings.join()).toContain(tooSmall('12', 'control-plane'));
    const labelled = await patch('control-b', { metadata: { labels: { [roleLabel]: '' } } }, admin);
    expect(labelled).toMatchObject({ code: 200, warnings: [] });
  });

  it('is warned where it also has a type, and is held against the greater row', async () => {
    const { code, warnings } = await register(typedControlPlane('control-c'), admin);
    expect(code).toBe(201);
    for (const reason of ['cpu', 'memory']) expect(warnings.join()).toContain(`(node-conformance/${reason})`);
    expect(warnings.join()).toContain(tooSmall('12', 'control-plane'));
  });

  it('is refused under controlPlaneAtMost: enforce only where it is new and shows its role', async () => {
    webhook.writePolicy(policy({ controlPlaneAtMost: 'enforce' }));
    const dryRun = '/api/v1/nodes?dryRun=All';
    await eventually(
      'the policy is in force',
      async () => (await plane.api.send('POST', dryRun, typedControlPlane('control-d'))).code === 422,
    );
    const refused = await register(typedControlPlane('control-d'), admin);
    expect(refused).toMatchObject({ code: 422, body: { reason: 'UnprocessableEntity' } });
    for (const reason of ['cpu', 'memory']) expect(refused.body.message).toContain(`(node-conformance/${reason})`);
    // Its kubelet restarts.
    const again = await register(typedControlPlane('control-c'), admin);
    expect(again.code).toBe(409);
    expect(again.body.reason).toBe('AlreadyExists');
    // One that kubeadm joins.
    expect((await register(joining('control-e'))).code).toBe(201);
    const labelled = await patch('control-e', { metadata: { labels: { [roleLabel]: '' } } }, admin);
    expect(labelled.code).toBe(200);
    expect(labelled.warnings.join()).toContain(tooSmall('12', 'control-plane'));
    webhook.writePolicy(policy());
    await eventually(
      'the default is in force',
      async () => (await plane.api.send('POST', dryRun, typedControlPlane('control-d'))).code === 201,
    );
  });
});

describe('a cloud node', () => {
  it('without an address registers without a finding, and its cloud controller completes it', async () => {
    const uninitialized = {
      key: 'node.cloudprovider.kubernetes.io/uninitialized',
      value: 'true',
      effect: 'NoSchedule',
    };
    const node = nodeLike('compute-1', 'cloud', [
      { op: 'add', path: '/spec/taints', value: [uninitialized] },
      { op: 'replace', path: '/status/addresses', value: [{ type: 'Hostname', address: 'cloud' }] },
      { op: 'replace', path: '/status/conditions', value: [{ type: 'Ready', status: 'False' }] },
    ]);
    expect(await register(node)).toMatchObject({ code: 201, warnings: [] });
    await eventually('it is recorded', () => judged('system:node:cloud').length === 1);
    expect(judged('system:node:cloud')[0]).toMatchObject({ decision: 'allow', findings: [] });

    const addresses = [{ type: 'InternalIP', address: '10.20.0.71' }];
    const status = await patch('cloud/status', { status: { addresses } }, cloudController);
    expect(status).toMatchObject({ code: 200, warnings: [] });
    const registered: readonly { readonly key: string }[] = (await get('cloud')).body.spec.taints;
    const initialized = {
      metadata: { labels: { 'topology.kubernetes.io/zone': 'a', 'node.kubernetes.io/instance-type': 'm' } },
      spec: { taints: registered.filter(({ key }) => key !== uninitialized.key) },
    };
    expect(await patch('cloud', initialized, cloudController)).toMatchObject({ code: 200, warnings: [] });
    const { body } = await get('cloud');
    expect(body.status.addresses).toContainEqual(addresses[0]);
    expect(JSON.stringify(body.spec.taints)).not.toContain(uninitialized.key);
    // The API server asks again where somebody else wrote the node meanwhile.
    await eventually('that is recorded, too', () => judged(cloudController.user).length > 0);
    for (const record of judged(cloudController.user))
      expect(record).toMatchObject({ decision: 'allow', findings: [] });
  });
});

describe('a node that the policy exempts by name', () => {
  const virtual = (name: string): KubeObject =>
    nodeLike('compute-1', name, [
      { op: 'add', path: '/metadata/labels/type', value: 'virtual-kubelet' },
      { op: 'replace', path: '/status/nodeInfo/kubeletVersion', value: 'v1.15.2-vk' },
      { op: 'replace', path: '/status/nodeInfo/osImage', value: '' },
      { op: 'replace', path: '/status/nodeInfo/containerRuntimeVersion', value: '' },
    ]);
  const windows = (name: string): KubeObject =>
    nodeLike('compute-1', name, [
      { op: 'add', path: '/metadata/labels/kubernetes.io~1os', value: 'windows' },
      { op: 'replace', path: '/status/nodeInfo/osImage', value: 'Windows Server 2022 Datacenter' },
      { op: 'replace', path: '/status/nodeInfo/containerRuntimeVersion', value: 'containerd://1.6.28' },
    ]);

  it.each([
    ['virtual-kubelet-1', virtual, 'a virtual kubelet'],
    ['win-1', windows, 'Windows'],
  ])('registers, and the record says why: %s', async (name, machine, reason) => {
    expect(await register(machine(name))).toMatchObject({ code: 201, warnings: [] });
    await eventually('it is recorded', () => judged(`system:node:${name}`).length === 1);
    const [record] = judged(`system:node:${name}`);
    expect(record).toMatchObject({ decision: 'allow', findings: [] });
    expect(record?.exemptions.map((exemption) => exemption.reason)).toEqual([reason]);
    expect(record?.exemptions[0]?.rules).toContain('node-conformance');
  });

  it.each([
    ['virtual-kubelet-2', virtual, 'kubernetes-version'],
    ['win-2', windows, 'container-runtime'],
  ])('is no other one that is labelled alike: %s is refused', async (name, machine, reason) => {
    const { code, body } = await register(machine(name));
    expect(code).toBe(422);
    expect(body.message).toContain(`(node-conformance/${reason})`);
  });
});

describe('when every node is gone and the webhook is down', () => {
  const kwok: Operation = { op: 'add', path: '/metadata/annotations', value: kwokAnnotation };

  it('nodes register all the same, and the webhook’s own pods are bound to them', async () => {
    expect(await marks('older')).toEqual({ mark: undefined, verified: undefined });
    await webhook.stopServer();
    await plane.api.send('DELETE', '/api/v1/nodes');
    expect(await plane.api.list('/api/v1/nodes')).toEqual([]);
    // What ran on them is gone with them.
    await plane.api.send('DELETE', `/api/v1/namespaces/${namespace}/pods`, { gracePeriodSeconds: 0 });
    const nodes = [
      nodeLike('compute-1', 'first', [kwok]),
      gpu('older', oldDriver, [kwok]),
      nodeOf('too-old', 'compute', 'v1.29.6'),
    ];
    for (const node of nodes) expect((await register(node)).code).toBe(201);
    await eventually('its pods are bound', async () => {
      const pods = await plane.api.list(`/api/v1/namespaces/${namespace}/pods`);
      return pods.length === 2 && pods.every(({ spec }) => Object(spec).nodeName !== undefined);
    });
    expect(await marks('older')).toEqual({ mark: undefined, verified: undefined });
  });

  it('it judges again once it is back, refuses none that came meanwhile, and marks one that was older before and is new now', async () => {
    await webhook.startServer();
    await untilNewIsRefused('late');
    const again = await register(nodeOf('too-old', 'compute', 'v1.29.6'));
    expect(again.code).toBe(409);
    expect(again.warnings.join()).toContain('(node-conformance/kubernetes-version)');
    await eventually('the mark', async () => (await marks('older')).mark === 'violated');
    await eventually('the good one is verified', async () => (await marks('first')).verified === 'compute');
    for (const name of ['first', 'too-old']) expect((await marks(name)).mark).toBeUndefined();
  });
});
