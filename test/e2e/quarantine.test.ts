import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ApiAnswer, SendOptions } from '../cluster/api-client.ts';
import { type ControlPlane, runCommand } from '../cluster/control-plane.ts';
import { type Installation, install, namespace, root, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { metricOf } from '../support/metrics.ts';
import { featureDiscovery } from './support/feature-discovery.ts';
import {
  driver,
  mark,
  marksOf,
  quarantinePolicy as policy,
  registerGpuNode,
  setNodeLabels,
  verified,
} from './support/gpu-nodes.ts';
import { kubeletOf } from './support/nodes.ts';

/* Quarantine by label, from the registration of a node to the label that frees it, with the real scheduler in between. */

type User = NonNullable<SendOptions['as']>;

const admin: User = { user: 'root', groups: ['system:masters'] };
const merge = { contentType: 'application/merge-patch+json' };

let plane: ControlPlane;
let webhook: Installation;

const register = (name: string, version?: string): Promise<ApiAnswer> => registerGpuNode(plane, name, version);
const marks = (name: string): ReturnType<typeof marksOf> => marksOf(plane, name);
const setLabels = (name: string, labels: object, options?: SendOptions, path?: string): Promise<ApiAnswer> =>
  setNodeLabels(plane, name, labels, options, path);

const metric = async (name: string, labels?: Readonly<Record<string, string>>): Promise<number> =>
  metricOf(await webhook.metrics(), name, labels);

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  // There before anybody heard of quarantine.
  await register('older', '535.104.05');
  webhook = await install(plane, { policy: policy() });
  await eventually('a replica leads', async () => (await metric('osmo_admission_quarantine_leading')) === 1);
  // The Lease's time has a resolution of a second.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** A workflow pod that wants this very node. */
async function podFor(name: string, node: string): Promise<string> {
  const { code, body } = await plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods', {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'osmo-workflows' } },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      containers: [{ name: 'c', image: 'x', resources: { limits: { 'nvidia.com/gpu': '1' } } }],
    },
  });
  if (code !== 201) throw new Error(body.message);
  return name;
}

const nodeOfPod = async (name: string, where = 'osmo-workflows'): Promise<string> =>
  (await plane.api.send('GET', `/api/v1/namespaces/${where}/pods/${name}`)).body.spec.nodeName ?? '';

describe('a node whose driver turns out too old', () => {
  it('bears the mark when it registers with that label, and one without it bears none', async () => {
    expect((await register('bad', '535.104.05')).code).toBe(201);
    expect(await marks('bad')).toEqual({ mark: 'violated', verified: undefined });
    expect((await register('late')).code).toBe(201);
    expect(await marks('late')).toEqual({ mark: undefined, verified: undefined });
    expect((await register('good', '550.144.03')).code).toBe(201);
    expect(await marks('good')).toEqual({ mark: undefined, verified: 'gpu' });
  });

  it('is marked by the reconciler when the label comes later', async () => {
    expect((await setLabels('late', { [driver]: '535.104.05' })).code).toBe(200);
    await eventually('the mark', async () => (await marks('late')).mark === 'violated');
  });

  it('stays free of new workflow pods; one for a good node is bound', async () => {
    await podFor('waits', 'bad');
    await podFor('runs', 'good');
    await eventually('the good node has its pod', async () => (await nodeOfPod('runs')) === 'good');
    const { body } = await plane.api.send('GET', '/api/v1/namespaces/osmo-workflows/pods/waits');
    expect(body.spec.nodeName).toBeUndefined();
    expect(JSON.stringify(body.status.conditions)).toContain("didn't match Pod's node affinity/selector");
  });

  it('is freed by the label of a feature discovery whose pod the scheduler put onto the marked node, in the same request', async () => {
    // The pod of a DaemonSet, with a service account of its own; this test plays what runs in it, by a token that is bound to the pod.
    await plane.apply(
      ['apply', '-f', '-'],
      [
        ...featureDiscovery,
        {
          apiVersion: 'apps/v1',
          kind: 'DaemonSet',
          metadata: { name: 'discovery', namespace: 'gpu-operator' },
          spec: {
            selector: { matchLabels: { app: 'discovery' } },
            template: {
              metadata: { labels: { app: 'discovery' } },
              spec: {
                serviceAccountName: 'discovery',
                nodeSelector: { 'kubernetes.io/hostname': 'bad' },
                tolerations: [{ operator: 'Exists' }],
                containers: [{ name: 'c', image: 'x' }],
              },
            },
          },
        },
      ],
    );
    let pod = '';
    await eventually('its pod runs on the marked node', async () => {
      const pods = await plane.api.list('/api/v1/namespaces/gpu-operator/pods');
      const found = pods.find(({ spec }) => Object(spec).nodeName === 'bad');
      pod = found === undefined ? '' : Object(found.metadata).name;
      return pod !== '';
    });
    expect((await marks('bad')).mark).toBe('violated');
    const { stdout: token } = await plane.apply([
      ...[
        'create',
        'token',
        'discovery',
        '-n',
        'gpu-operator',
        '--bound-object-kind',
        'Pod',
        '--bound-object-name',
        pod,
      ],
    ]);
    const kubeconfig = plane.writeKubeconfig('discovery', token.trim());
    const patch = JSON.stringify({ metadata: { labels: { [driver]: '550.144.03' } } });
    const said = await plane.kubectl([
      ...['--kubeconfig', kubeconfig, 'patch', 'node', 'bad', '--type', 'merge', '-p', patch, '-o', 'json'],
    ]);
    expect(said.stderr).toBe('');
    // Not later: the answer to that very request.
    const { labels, annotations } = JSON.parse(said.stdout).metadata;
    expect(labels[mark]).toBeUndefined();
    expect(annotations[verified]).toBe('gpu');
    await eventually('the pod that waited is bound', async () => (await nodeOfPod('waits')) === 'bad');
  });
});

describe('a mark', () => {
  it.each([
    ['its kubelet', kubeletOf('late'), ''],
    ['its kubelet, through the status', kubeletOf('late'), '/status'],
    ['a user', admin, ''],
    ['a user, through the status', admin, '/status'],
  ])('that %s takes away is back in the same request, which passes', async (_, as, path) => {
    const { code, body } = await setLabels('late', { [mark]: null, heard: String(Date.now()) }, { as }, path);
    expect(code).toBe(200);
    expect(body.metadata.labels[mark]).toBe('violated');
    expect(body.metadata.labels.heard).toBeDefined();
    await eventually('it is recorded', () =>
      webhook
        .records()
        .some(
          ({ user, findings }) => user.username === as.user && findings.some(({ reason }) => reason === 'restored'),
        ),
    );
  });

  it('is not had by writing it, nor is the annotation', async () => {
    const { body } = await setLabels('good', { [mark]: 'violated' }, { as: admin });
    expect(body.metadata.labels[mark]).toBeUndefined();
    const forged = { metadata: { annotations: { [verified]: 'gpu' } } };
    for (const path of ['', '/status']) {
      const answer = await plane.api.send('PATCH', `/api/v1/nodes/late${path}`, forged, {
        ...merge,
        as: kubeletOf('late'),
      });
      expect(answer.code).toBe(200);
      expect(answer.body.metadata.annotations[verified]).toBeUndefined();
    }
  });

  it('stays where the driver’s label is dropped', async () => {
    expect((await setLabels('late', { [driver]: null })).body.metadata.labels[mark]).toBe('violated');
    await setLabels('late', { [driver]: '535.104.05' });
  });
});

describe('a node that becomes a gpu node after it joined', () => {
  it('is judged then, as what it is now', async () => {
    await register('turned', '535.104.05');
    // It joined as a compute node, which owes no driver, and was verified as that.
    await setLabels('turned', { 'node-type': 'compute' });
    await eventually('it is verified as compute', async () => (await marks('turned')).verified === 'compute');
    expect((await marks('turned')).mark).toBeUndefined();
    await setLabels('turned', { 'node-type': 'gpu' });
    await eventually('the mark', async () => (await marks('turned')).mark === 'violated');
  });
});

describe('what is older or verified', () => {
  it('is reported and never marked: a node from before, and a verified one after a minimum was raised', async () => {
    webhook.writePolicy(policy({}, { driver: { minimum: '560.0.0' } }));
    await eventually('both are reported', () =>
      ['older', 'good'].every((name) =>
        webhook.log().some(({ message, node }) => String(message).startsWith('a node violates') && node === name),
      ),
    );
    expect((await marks('older')).mark).toBeUndefined();
    expect((await marks('good')).mark).toBeUndefined();
    expect(await webhook.metrics()).toMatch(/^osmo_admission_quarantine_reported_nodes [1-9]$/m);
    webhook.writePolicy(policy());
  });
});

describe('the reconciler', () => {
  it('writes nothing while nothing changes', async () => {
    const writes = (): Promise<number> => metric('osmo_admission_quarantine_writes_total', { outcome: 'success' });
    const before = await writes();
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    expect(await writes()).toBe(before);
  });

  it('marks a new node that registered while the webhook was away, and not an older one', async () => {
    await webhook.stopServer();
    expect((await register('unseen', '535.104.05')).code).toBe(201);
    expect(await marks('unseen')).toEqual({ mark: undefined, verified: undefined });
    await webhook.startServer();
    await eventually('the mark', async () => (await marks('unseen')).mark === 'violated', 60_000);
    expect((await marks('older')).mark).toBeUndefined();
  });
});

describe('switched off', () => {
  it.each([
    ['by its enforcement', policy({ enforcement: 'off' })],
    ['by the preset monitor', `${policy()}preset: monitor\n`],
  ])('%s, leaves no mark, annotation or Lease; and on again marks no node that was there', async (_how, off) => {
    webhook.writePolicy(off);
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/osmo-admission-webhook-quarantine`;
    await eventually('the Lease is gone', async () => (await plane.api.send('GET', lease)).code === 404, 60_000);
    for (const name of ['older', 'bad', 'late', 'good', 'unseen'])
      expect(await marks(name)).toEqual({ mark: undefined, verified: undefined });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    webhook.writePolicy(policy());
    await eventually('the Lease is there', async () => (await plane.api.send('GET', lease)).code === 200, 60_000);
    await eventually('good nodes are verified', async () => (await marks('good')).verified === 'gpu');
    for (const name of ['older', 'late', 'unseen']) expect((await marks(name)).mark).toBeUndefined();
  });

  it('by uninstalling, leaves nothing either, though the server still runs', async () => {
    await register('last', '535.104.05');
    expect((await marks('last')).mark).toBe('violated');
    const command = ['uninstall', '--kubeconfig', plane.kubeconfig()];
    const said = await runCommand(join(root, 'bin', 'osmo-admission'), command);
    expect(said.code).toBe(0);
    expect(said.stdout).toMatch(/^deleted mutatingwebhookconfigurations\/osmo-admission-webhook\ndeleted validating/);
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    const nodes = await plane.api.list('/api/v1/nodes');
    // Not managedFields: that is the API server's own memory of who wrote what.
    for (const { metadata } of nodes) {
      const { labels, annotations } = Object(metadata);
      expect(JSON.stringify([labels, annotations])).not.toContain('osmo-admission/');
    }
    const leases = await plane.api.list(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`);
    expect(leases).toEqual([]);
    expect((await runCommand(join(root, 'bin', 'osmo-admission'), command)).stdout).toBe('');
  }, 120_000);
});
