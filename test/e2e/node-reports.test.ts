import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ApiAnswer } from '../cluster/api-client.ts';
import { type ControlPlane, kwokAnnotation } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { fixtureNode } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';
import { kubeletOf } from './support/nodes.ts';
import { kubeletPolicy } from './support/policy.ts';

/*
 * What a node shows after it has joined, by its status alone: no admission request that anybody judges. An operator sees it where he looks:
 * in `kubectl describe node`, in the log, in a metric.
 */

const merge = { contentType: 'application/merge-patch+json' };

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: kubeletPolicy() });
  // Nodes that are older than quarantine's Lease are never marked; its time has a resolution of a second.
  await eventually('a replica leads', async () =>
    /^osmo_admission_quarantine_leading 1$/m.test(await webhook.metrics()),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await register('steady', 'compute-1');
  await register('worker', 'compute-1');
  await register('gpu-late', 'gpu-1');
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** A node as its kubelet registers it, kept Ready by kwok; labels of its driver come later. */
async function register(name: string, like: string): Promise<void> {
  const labels = Object(Object(fixtureNode(like).metadata).labels);
  const kept = Object.entries(labels).filter(([key]) => !key.startsWith('nvidia.com/cuda.driver-version.'));
  const given = { ...Object.fromEntries(kept), 'kubernetes.io/hostname': name };
  const node = apply(fixtureNode(like), [
    { op: 'add', path: '/metadata', value: { name, annotations: kwokAnnotation, labels: given } },
  ]);
  const { code, body } = await plane.api.send('POST', '/api/v1/nodes', node);
  if (code !== 201) throw new Error(body.message);
}

/** What a kubelet writes of its own node. */
const status = (name: string, change: object): Promise<ApiAnswer> =>
  plane.api.send('PATCH', `/api/v1/nodes/${name}/status`, { status: change }, { ...merge, as: kubeletOf(name) });

/** What kubectl shows of a node, once it shows this. */
async function describeUntil(name: string, expected: RegExp): Promise<string> {
  let shown = '';
  await eventually(`kubectl describe node ${name} shows ${expected}`, async () => {
    shown = (await plane.apply(['describe', 'node', name])).stdout;
    return expected.test(shown);
  });
  return shown;
}

async function runPod(name: string, node: string, resources: object = {}): Promise<void> {
  const { code, body } = await plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'osmo-workflows' },
    spec: { nodeSelector: { 'kubernetes.io/hostname': node }, containers: [{ name: 'c', image: 'x', resources }] },
  });
  if (code !== 201) throw new Error(body.message);
  await eventually(`${name} runs`, async () => {
    const pod = await plane.api.send('GET', `/api/v1/namespaces/osmo-workflows/pods/${name}`);
    return pod.body.spec.nodeName === node && pod.body.status.phase === 'Running';
  });
}

describe('a change by status alone', () => {
  it('a kubelet below the minimum: an Event on the Node, a log line, a count', async () => {
    expect((await status('steady', { nodeInfo: { kubeletVersion: 'v1.29.3' } })).code).toBe(200);
    const shown = await describeUntil('steady', /NodeNonConforming/);
    expect(shown).toMatch(
      /Warning +NodeNonConforming .*status\.nodeInfo\.kubeletVersion is now v1\.29\.3, needs 1\.30\.0 or later/,
    );
    expect(
      webhook.log().filter(({ reason, node }) => reason === 'kubernetes-version' && node === 'steady'),
    ).toHaveLength(1);
    expect(await webhook.metrics()).toMatch(/^osmo_admission_node_reports_total\{reason="kubernetes-version"\} 1$/m);
    // No request of it was judged.
    expect(webhook.records().filter(({ objectRef }) => objectRef.subresource === 'status')).toEqual([]);
  });

  it('another InternalIP, and memory that is gone', async () => {
    const addresses = [
      { type: 'InternalIP', address: '10.99.0.1' },
      { type: 'Hostname', address: 'steady' },
    ];
    await status('steady', { addresses, capacity: { memory: '16Gi' } });
    await describeUntil('steady', /status\.addresses is now 10\.99\.0\.1 \(was 10\.20\.0\.31\)/);
    await describeUntil('steady', /NodeCapacityShrank .*status\.capacity shrank: memory from 263842384Ki to 16Gi/);
  });
});

describe('a node under running workflow pods', () => {
  it('that becomes an operator node is reported with the names of the pods', async () => {
    await runPod('busy', 'worker');
    const labels = { 'node-type': 'operator' };
    expect((await plane.api.send('PATCH', '/api/v1/nodes/worker', { metadata: { labels } }, merge)).code).toBe(200);
    await describeUntil(
      'worker',
      /NodeTypeChanged .*this node was compute and is an operator node; workflow pods run there: osmo-workflows\/busy\./,
    );
  });

  it('that gets the mark is reported with the names of the pods', async () => {
    await runPod('training', 'gpu-late', { limits: { 'nvidia.com/gpu': '1' } });
    const labels = { 'nvidia.com/cuda.driver-version.full': '535.104.05' };
    expect((await plane.api.send('PATCH', '/api/v1/nodes/gpu-late', { metadata: { labels } }, merge)).code).toBe(200);
    await describeUntil(
      'gpu-late',
      /NodeQuarantined .*new workflow pods stay off this node: driver: has 535\.104\.05.*osmo-workflows\/training\./,
    );
  });
});
