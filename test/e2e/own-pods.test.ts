import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { namespace, untilCalled, webhookName } from '../cluster/installation.ts';
import type { NodeAgent } from '../cluster/node-agent/agent.ts';
import type { Release } from '../cluster/release.ts';
import { eventually } from '../cluster/wait.ts';
import { configurationPaths } from './support/certified.ts';
import { mark, setNodeLabels } from './support/gpu-nodes.ts';
import { loadDuring } from './support/load.ts';
import { boundTo } from './support/pods.ts';
import { nodesOfFixtures, startReleaseCluster } from './support/release-cluster.ts';

/* The webhook's own pods: that they start whatever is said of them, and that a drain of their node costs nothing. */

const workflowLabels = { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' };
const values = { shutdown: { delay: 3 }, podLabels: workflowLabels, reloadInterval: '1s' };

let plane: ControlPlane;
let agent: NodeAgent;
let release: Release;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ plane, agent, release, close } = await startReleaseCluster(inject('binaries')));
  await release.install(values);
}, 300_000);

afterAll(() => close?.(), 60_000);

const scale = (replicas: number): Promise<unknown> =>
  plane.apply(['scale', 'deployment', webhookName, '-n', namespace, `--replicas=${replicas}`]);

const untilPods = (count: number): Promise<void> =>
  eventually(`${count} pods are there`, () => agent.pods().length === count);

const podIn = (name: string, labels: object): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { generateName: 'some-', namespace: name, labels },
  spec: {
    containers: [{ name: 'c', image: 'x', securityContext: restricted }],
    securityContext: { runAsNonRoot: true },
  },
});
const restricted = { allowPrivilegeEscalation: false };

const codeOf = async (name: string, labels = {}): Promise<number> =>
  (await plane.api.send('POST', `/api/v1/namespaces/${name}/pods?dryRun=All`, podIn(name, labels))).code;

describe('while the webhook is away', () => {
  it('its own pods start though its namespace is listed as a workflow namespace, they bear the labels of workflow pods, and every node bears the mark', async () => {
    const map = `/api/v1/namespaces/${namespace}/configmaps/${webhookName}-policy`;
    const { data } = (await plane.api.send('GET', map)).body;
    const misjudged = data['policy.yaml'].replace('- osmo-workflows', `- osmo-workflows\n  - ${namespace}`);
    expect(misjudged).not.toBe(data['policy.yaml']);
    const merge = { contentType: 'application/merge-patch+json' };
    expect((await plane.api.send('PATCH', map, { data: { 'policy.yaml': misjudged } }, merge)).code).toBe(200);
    await scale(0);
    await untilPods(0);
    for (const name of nodesOfFixtures()) await setNodeLabels(plane, name, { [mark]: 'violated' });
    await eventually('workflow pods are refused', async () => (await codeOf('osmo-workflows')) === 500);
    for (const name of ['kube-system', 'default', namespace]) {
      expect([name, await codeOf(name), await codeOf(name, workflowLabels)]).toEqual([name, 201, 201]);
    }
    await scale(2);
    await untilCalled(plane);
    await untilPods(2);
    await plane.apply(['rollout', 'status', 'deployment', webhookName, '-n', namespace, '--timeout', '30s']);
  }, 120_000);

  it('its own pods start again where all are killed at once', async () => {
    await Promise.all(agent.pods().map((pod) => agent.kill(pod)));
    await eventually('workflow pods are refused', async () => (await codeOf('osmo-workflows')) === 500);
    await untilCalled(plane);
  }, 60_000);

  it('a selector that somebody extended to its own namespace keeps its pods out; deleting the configurations lets them in, an upgrade puts them back', async () => {
    await scale(0);
    await untilPods(0);
    const patch = [{ op: 'add', path: '/webhooks/0/namespaceSelector/matchExpressions/0/values/-', value: namespace }];
    const options = { contentType: 'application/json-patch+json' };
    expect((await plane.api.send('PATCH', configurationPaths[0] ?? '', patch, options)).code).toBe(200);
    await eventually('its own pods are refused', async () => (await codeOf(namespace)) === 500);
    await scale(2);
    await plane.apply(['delete', 'validatingwebhookconfiguration,mutatingwebhookconfiguration', webhookName]);
    await untilPods(2);
    // What was edited on the cluster is somebody else's by now, and helm says so.
    await expect(release.upgrade(values)).rejects.toThrow('conflict');
    await release.upgrade(values, undefined, '--force-conflicts');
    await untilCalled(plane);
  }, 120_000);
});

describe('a drain', () => {
  it('of the node on which both replicas run moves one after the other, and no create fails', async () => {
    const others = nodesOfFixtures().filter((name) => name !== 'operator-1');
    await plane.apply(['cordon', ...others]);
    await scale(0);
    await untilPods(0);
    await scale(2);
    await plane.apply(['rollout', 'status', 'deployment', webhookName, '-n', namespace, '--timeout', '30s']);
    await plane.apply(['uncordon', ...others]);
    await untilCalled(plane);
    expect(await nodesOfPods()).toEqual(['operator-1', 'operator-1']);
    let said = { stdout: '', stderr: '' };
    const { failed } = await loadDuring(plane, 2, async () => {
      said = await plane.apply(['drain', 'operator-1', '--ignore-daemonsets', '--timeout', '60s']);
    });
    expect(failed).toEqual([]);
    expect(said.stdout).toContain('node/operator-1 drained');
    expect(said.stderr).toContain("Cannot evict pod as it would violate the pod's disruption budget");
    await plane.apply(['rollout', 'status', 'deployment', webhookName, '-n', namespace, '--timeout', '30s']);
    expect(await nodesOfPods()).not.toContain('operator-1');
  }, 120_000);
});

async function nodesOfPods(): Promise<readonly string[]> {
  return (await plane.api.list(`/api/v1/namespaces/${namespace}/pods`)).map(boundTo);
}
