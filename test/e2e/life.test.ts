import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type ControlPlane, kwokAnnotation, runCommand } from '../cluster/control-plane.ts';
import { findImage } from '../cluster/image.ts';
import { namespace, probe, root, startCluster, untilCalled, webhookName } from '../cluster/installation.ts';
import { type NodeAgent, startNodeAgent } from '../cluster/node-agent/agent.ts';
import { claimFolder } from '../cluster/node-agent/volumes.ts';
import { createRelease, type Release } from '../cluster/release.ts';
import { caSecret } from '../cluster/self-signed.ts';
import { eventually } from '../cluster/wait.ts';
import { clusterNodes, osmoPod } from '../support/fixtures.ts';
import { configurationPaths } from './support/certified.ts';
import { marksOf, registerGpuNode, verified } from './support/gpu-nodes.ts';
import { differences, type Inventory, takeInventory } from './support/inventory.ts';
import { createUnderLoad, type Load } from './support/load.ts';

/* A release from its first installation to the last thing that it leaves, in one order: each step begins where the one before ends. */

const firstChart = join(root, 'test', 'fixtures', 'chart', 'first.tgz');
/** The delay is short, so that a pod's end is. */
const values = { shutdown: { delay: 2 }, reloadInterval: '1s' };
const moreNamespaces = { policy: { workflowPods: { namespaces: ['osmo-workflows', 'osmo-more'] } } };

let plane: ControlPlane;
let agent: NodeAgent;
let release: Release;
let before: Inventory;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  const nodes = clusterNodes().map((node) => ({
    ...{ apiVersion: 'v1', kind: 'Node', ...node },
    metadata: { ...Object(node.metadata), annotations: kwokAnnotation },
  }));
  await plane.apply(['create', '-f', '-'], nodes);
  await plane.apply(['wait', '--for', 'condition=Ready', 'nodes', '--all']);
  agent = await startNodeAgent(plane, { namespace, image: findImage(process.env) });
  release = createRelease(plane, inject('binaries').helm);
  before = await takeInventory(plane);
}, 300_000);

afterAll(async () => {
  await agent?.close();
  await plane?.close();
}, 60_000);

/** Creates pods, dry, by two clients while something happens. */
async function during(work: () => Promise<unknown>): Promise<Load> {
  let working = true;
  const end = (): void => {
    working = false;
  };
  const [load] = await Promise.all([createUnderLoad(plane, 2, () => working), work().finally(end)]);
  return load;
}

interface Trust {
  readonly ca: string;
  readonly bundles: readonly string[];
}

/** The CA in its Secret, and caBundle of each webhook. */
async function trust(): Promise<Trust> {
  const ca = (await plane.api.send('GET', caSecret)).body.data['tls.crt'];
  const answers = await Promise.all(configurationPaths.map((path) => plane.api.send('GET', path)));
  const bundles = answers.flatMap(({ body }) => body.webhooks.map(({ clientConfig }: any) => clientConfig.caBundle));
  return { ca, bundles };
}

/** Whether each webhook on the cluster is as the release's manifest has it. */
async function expectRulesOfRelease(): Promise<void> {
  const { stdout } = await release.helm('get', 'manifest', webhookName);
  const rendered = parseAllDocuments(stdout).map((document): any => document.toJS());
  for (const path of configurationPaths) {
    const { body } = await plane.api.send('GET', path);
    const expected = rendered.find(({ kind, metadata }) => path.includes(kind.toLowerCase()) && metadata.name === body.metadata.name);
    expect(body.webhooks).toHaveLength(expected.webhooks.length);
    expect(body.webhooks).toMatchObject(expected.webhooks);
  }
}

/** Workflow namespaces, as the API server is told to ask about them. */
async function gatedNamespaces(): Promise<readonly string[]> {
  const { body } = await plane.api.send('GET', configurationPaths[1] ?? '');
  return body.webhooks[0].namespaceSelector.matchExpressions[0].values;
}

const bothMarked = async (): Promise<void> => {
  expect(await marksOf(plane, 'gpu-old')).toMatchObject({ mark: 'violated' });
  expect((await marksOf(plane, 'gpu-1')).verified).toBeDefined();
};

const podPath = '/api/v1/namespaces/osmo-workflows/pods';
const createPod = () => plane.api.send('POST', `${podPath}?dryRun=All`, osmoPod('chart-default-cpu'));

/** Something that makes a pod which can run anywhere it may. */
const deploymentIn = (name: string): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'some', namespace: name },
  spec: {
    selector: { matchLabels: { app: 'some' } },
    template: {
      metadata: { labels: { app: 'some' } },
      spec: { containers: [{ name: 'c', image: 'x' }] },
    },
  },
});

const readyReplicas = async (name: string): Promise<number> =>
  (await plane.api.send('GET', `/apis/apps/v1/namespaces/${name}/deployments/some`)).body.status?.readyReplicas ?? 0;

describe('a release', () => {
  let trusted: Trust;

  it('is installed from the first chart, and marks nodes', async () => {
    await release.install(values, firstChart);
    expect((await registerGpuNode(plane, 'gpu-old', '470.1.1')).code).toBe(201);
    await eventually('the nodes are marked', async () => {
      const [old, fine] = [await marksOf(plane, 'gpu-old'), await marksOf(plane, 'gpu-1')];
      return old.mark !== undefined && fine.verified !== undefined;
    });
    await expectRulesOfRelease();
    trusted = await trust();
    expect(new Set(trusted.bundles).size).toBe(1);
  }, 120_000);

  it('is upgraded to today’s chart and another policy: new rules, the same CA, caBundle and marks, and no create fails', async () => {
    const { failed, times } = await during(() => release.upgrade({ ...values, ...moreNamespaces }));
    expect(failed).toEqual([]);
    expect(times.done).toBeGreaterThan(20);
    await expectRulesOfRelease();
    expect(await gatedNamespaces()).toEqual(['osmo-workflows', 'osmo-more']);
    expect(await trust()).toEqual(trusted);
    await bothMarked();
  }, 120_000);

  it('is rolled back: the former rules, the same CA, caBundle and marks, and no create fails', async () => {
    const { failed } = await during(async () => {
      const said = await release.helm('rollback', webhookName, '1', '--wait', '--timeout', '60s');
      expect(said).toMatchObject({ code: 0 });
    });
    expect(failed).toEqual([]);
    await expectRulesOfRelease();
    expect(await gatedNamespaces()).toEqual(['osmo-workflows']);
    expect(await trust()).toEqual(trusted);
    await bothMarked();
    await release.upgrade(values);
  }, 120_000);

  it('keeps its old pods, and says so, where the policy of an upgrade is refused', async () => {
    const old = agent.pods();
    const broken = { policy: { nodes: { operatorTaints: [{ key: 'node.kubernetes.io/mine' }] } } };
    const { failed } = await during(async () => {
      const upgrade = release.upgrade({ ...values, ...broken }, undefined, '--timeout', '10s');
      await expect(upgrade).rejects.toThrow('context deadline exceeded');
    });
    expect(failed).toEqual([]);
    expect((await release.helm('status', webhookName)).stdout).toContain('STATUS: failed');
    const fresh = agent.pods().filter((name) => !old.includes(name));
    expect(agent.pods()).toHaveLength(old.length + 1);
    expect(readFileSync(agent.logFile(fresh[0] ?? ''), 'utf8')).toContain('the prefix node.kubernetes.io/ is that of the node lifecycle');
    // Those that run have read it, too, and refused it.
    const ready = await (await fetch(`http://${agent.address(old[0] ?? '')}:8080/readyz`)).text();
    expect(ready).toContain('x');
    expect(await release.helm('rollback', webhookName, '4', '--wait', '--timeout', '60s')).toMatchObject({ code: 0 });
    await eventually('the new pod has gone', () => agent.pods().length === old.length);
  }, 120_000);

  it('is scaled to nothing: pods of workflows are refused, everything else passes; and comes back by itself', async () => {
    const scale = (replicas: number) =>
      plane.apply(['scale', 'deployment', webhookName, '-n', namespace, `--replicas=${replicas}`]);
    await scale(0);
    await eventually('no pod is left', () => agent.pods().length === 0);
    const refused = await createPod();
    expect(refused).toMatchObject({ code: 500 });
    expect(refused.body.message).toMatch(/^Internal error occurred: failed calling webhook "pods\.mutate\.osmo-admission": .*connection refused$/);
    expect((await registerGpuNode(plane, 'gpu-while-away', '550.144.03')).code).toBe(201);
    await bothMarked();
    await plane.apply(['apply', '-f', '-'], [deploymentIn('osmo-workflows'), deploymentIn('default')]);
    await eventually('a pod of the other namespace runs', async () => (await readyReplicas('default')) === 1);
    expect(await readyReplicas('osmo-workflows')).toBe(0);
    await scale(2);
    await untilCalled(plane);
    await eventually('the pod that was refused runs', async () => (await readyReplicas('osmo-workflows')) === 1, 60_000);
    await bothMarked();
    for (const name of ['osmo-workflows', 'default']) await plane.apply(['delete', 'deployment', 'some', '-n', name, '--cascade=foreground']);
  }, 120_000);
});
