import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type ControlPlane, runCommand } from '../cluster/control-plane.ts';
import { namespace, root, untilCalled, webhookName } from '../cluster/installation.ts';
import type { NodeAgent } from '../cluster/node-agent/agent.ts';
import { claimFolder } from '../cluster/node-agent/volumes.ts';
import type { Release } from '../cluster/release.ts';
import { caSecret } from '../cluster/self-signed.ts';
import { eventually } from '../cluster/wait.ts';
import { type KubeObject, osmoPod } from '../support/fixtures.ts';
import { configurationPaths } from './support/certified.ts';
import { marksOf, registerGpuNode } from './support/gpu-nodes.ts';
import { differences, type Inventory, takeInventory } from './support/inventory.ts';
import { type Load, loadDuring } from './support/load.ts';
import { startReleaseCluster } from './support/release-cluster.ts';

/* A release from its first installation to the last thing that it leaves, in one order: each step begins where the one before ends. */

const fileSink = { audit: { file: { enabled: true, size: '1Gi' } } };
const firstChart = join(root, 'test', 'fixtures', 'chart', 'first.tgz');
/** The delay is short, so that a pod's end is. */
const values = { shutdown: { delay: 2 }, reloadInterval: '1s' };
/** Good by the schema, and refused by the server. */
const broken = { policy: { nodes: { operatorTaints: [{ key: 'node.kubernetes.io/mine' }] } } };
const moreNamespaces = { policy: { workflowPods: { namespaces: ['osmo-workflows', 'osmo-more'] } } };

let plane: ControlPlane;
let agent: NodeAgent;
let release: Release;
let before: Inventory;

let close: () => Promise<void>;

beforeAll(async () => {
  ({ plane, agent, release, close } = await startReleaseCluster(inject('binaries')));
  before = await takeInventory(plane);
}, 300_000);

afterAll(() => close?.(), 60_000);

/** Creates pods, dry, by two clients while something happens. */
const during = (work: () => Promise<unknown>): Promise<Load> => loadDuring(plane, 2, work);

interface Webhook {
  readonly clientConfig: { readonly caBundle: string };
}

interface Trust {
  readonly ca: string;
  readonly bundles: readonly string[];
}

/** The CA in its Secret, and caBundle of each webhook. */
async function trust(): Promise<Trust> {
  const ca = (await plane.api.send('GET', caSecret)).body.data['tls.crt'];
  const answers = await Promise.all(configurationPaths.map((path) => plane.api.send('GET', path)));
  const bundles = answers.flatMap(({ body }) =>
    body.webhooks.map(({ clientConfig }: Webhook) => clientConfig.caBundle),
  );
  return { ca, bundles };
}

/** Whether each webhook on the cluster is as the release's manifest has it. */
async function expectRulesOfRelease(): Promise<void> {
  const { stdout } = await release.helm('get', 'manifest', webhookName);
  const rendered = parseAllDocuments(stdout).map((document): KubeObject => document.toJS());
  for (const path of configurationPaths) {
    const { body } = await plane.api.send('GET', path);
    const expected = rendered.find(({ kind }) => path.includes(`/${String(kind).toLowerCase()}s/`));
    const webhooks = Reflect.get(Object(expected), 'webhooks');
    expect(body.webhooks).toHaveLength(webhooks.length);
    expect(body.webhooks).toMatchObject(webhooks);
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

const untilPods = (count: number): Promise<void> =>
  eventually(`${count} pods are there`, () => agent.pods().length === count);

const podPath = '/api/v1/namespaces/osmo-workflows/pods';
const createPod = () => plane.api.send('POST', `${podPath}?dryRun=All`, osmoPod('chart-default-cpu'));

const auditFiles = (): readonly string[] =>
  [0, 1].map((index) => join(claimFolder(plane, `audit-${webhookName}-${index}`), 'audit.log'));

const linesOfLogs = (): readonly string[] =>
  auditFiles().flatMap((file) => (existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []));

/** Kubernetes keeps Events for an hour, whoever they are about. */
const isEvent = (line: string): boolean => /^[-+~] (v1|events\.k8s\.io\/v1)\/events /.test(line);

/**
 * What is there after the last step that was not before: the namespace, as `--create-namespace` made it, which Helm never takes away, with what
 * Kubernetes puts into each; and the claims of the audit log, which outlive it, with the volumes that whoever provisions gave them.
 */
const left = [
  '+ v1/configmaps osmo-admission/kube-root-ca.crt',
  '+ v1/namespaces /osmo-admission',
  '+ v1/persistentvolumeclaims osmo-admission/audit-osmo-admission-webhook-0',
  '+ v1/persistentvolumeclaims osmo-admission/audit-osmo-admission-webhook-1',
  '+ v1/persistentvolumes /claimed-UID',
  '+ v1/persistentvolumes /claimed-UID',
  '+ v1/serviceaccounts osmo-admission/default',
];

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
    await untilPods(2);
    const old = agent.pods();
    const { failed } = await during(async () => {
      const upgrade = release.upgrade({ ...values, ...broken }, undefined, '--timeout', '10s');
      await expect(upgrade).rejects.toThrow('context deadline exceeded');
    });
    expect(failed).toEqual([]);
    expect((await release.helm('status', webhookName)).stdout).toContain('STATUS: failed');
    const fresh = agent.pods().filter((name) => !old.includes(name));
    expect(agent.pods()).toHaveLength(3);
    expect(readFileSync(agent.logFile(fresh[0] ?? ''), 'utf8')).toContain(
      'the prefix node.kubernetes.io/ is that of the node lifecycle',
    );
    // Those that run have read it, too, and refused it.
    const ready = await (await fetch(`http://${agent.address(old[0] ?? '')}:8080/readyz`)).text();
    expect(ready).toMatch(/^\[[^+]\] policy: .*the prefix node\.kubernetes\.io/m);
    expect(await release.helm('rollback', webhookName, '4', '--wait', '--timeout', '60s')).toMatchObject({ code: 0 });
    await untilPods(2);
    expect([...agent.pods()].sort()).toEqual([...old].sort());
  }, 120_000);

  it('is scaled to nothing: pods of workflows are refused, everything else passes; and comes back by itself', async () => {
    const scale = (replicas: number) =>
      plane.apply(['scale', 'deployment', webhookName, '-n', namespace, `--replicas=${replicas}`]);
    await scale(0);
    await untilPods(0);
    const message =
      /^Internal error occurred: failed calling webhook "pods\.mutate\.osmo-admission": .*connection refused$/;
    await eventually('a pod is refused', async () => {
      const { code, body } = await createPod();
      return code === 500 && message.test(body.message);
    });
    expect((await registerGpuNode(plane, 'gpu-while-away', '550.144.03')).code).toBe(201);
    await bothMarked();
    await plane.apply(['apply', '-f', '-'], [deploymentIn('osmo-workflows'), deploymentIn('default')]);
    await eventually('a pod of the other namespace runs', async () => (await readyReplicas('default')) === 1);
    expect(await readyReplicas('osmo-workflows')).toBe(0);
    await scale(2);
    await untilCalled(plane);
    await eventually(
      'the pod that was refused runs',
      async () => (await readyReplicas('osmo-workflows')) === 1,
      60_000,
    );
    await bothMarked();
    for (const name of ['osmo-workflows', 'default'])
      await plane.apply(['delete', 'deployment', 'some', '-n', name, '--cascade=foreground']);
  }, 120_000);

  it('becomes a StatefulSet when the audit log goes to a file: no record is lost with its pod, and the chain goes on', async () => {
    // Helm's own watcher takes a pod for failed that waits for its volume on a machine with other work.
    await release.upgrade({ ...values, ...fileSink }, undefined, '--wait=legacy');
    await untilCalled(plane);
    await untilPods(2);
    expect([...agent.pods()].sort()).toEqual([`${webhookName}-0`, `${webhookName}-1`]);
    expect(await createPod()).toMatchObject({ code: 201 });
    await eventually('it is recorded', () => linesOfLogs().some((line) => line.includes('osmo-workflows')));
    const lines = linesOfLogs();
    await plane.apply(['delete', 'pod', `${webhookName}-0`, `${webhookName}-1`, '-n', namespace, '--wait=false']);
    await eventually(
      'both have started again',
      () => linesOfLogs().filter((line) => line.includes('"LogStart"')).length === 4,
    );
    await untilCalled(plane);
    expect(linesOfLogs()).toEqual(expect.arrayContaining([...lines]));
    for (const file of auditFiles()) {
      const said = await runCommand(join(root, 'bin', 'osmo-admission'), ['log', 'verify', file]);
      expect(said).toMatchObject({ code: 0, stderr: '' });
    }
  }, 180_000);

  it('keeps one of two replicas of a StatefulSet where the policy is refused, until it is rolled back', async () => {
    await untilPods(2);
    const { failed } = await during(async () => {
      const upgrade = release.upgrade({ ...values, ...fileSink, ...broken }, undefined, '--timeout', '15s');
      await expect(upgrade).rejects.toThrow('context deadline exceeded');
    });
    expect(failed).toEqual([]);
    expect(await release.helm('rollback', webhookName, '--wait', '--timeout', '60s')).toMatchObject({ code: 0 });
    const { body } = await plane.api.send('GET', `/apis/apps/v1/namespaces/${namespace}/statefulsets/${webhookName}`);
    expect(body.status.readyReplicas).toBe(2);
  }, 120_000);

  it('becomes a Deployment again: the volumes stay', async () => {
    const lines = linesOfLogs();
    await release.upgrade(values);
    await untilCalled(plane);
    await eventually('the StatefulSet has gone', () => agent.pods().every((name) => !/-[01]$/.test(name)));
    expect(linesOfLogs()).toEqual(expect.arrayContaining([...lines]));
    expect(await createPod()).toMatchObject({ code: 201 });
  }, 120_000);

  it('is uninstalled, and leaves what is said above, and nothing else', async () => {
    await release.uninstall();
    for (const name of ['gpu-old', 'gpu-while-away']) {
      expect(await marksOf(plane, name)).toEqual({ mark: undefined, verified: undefined });
      await plane.apply(['delete', 'node', name]);
    }
    let found: readonly string[] = [];
    const look = async (): Promise<boolean> => {
      const lines = differences(before, await takeInventory(plane)).filter((line) => !isEvent(line));
      found = lines.map((line) => line.replace(/claimed-[-0-9a-f]+$/, 'claimed-UID'));
      return found.length === left.length;
    };
    // The garbage collector takes its time; what it leaves shows below.
    await eventually('it is through', look).catch(() => undefined);
    expect(found).toEqual(left);
  }, 120_000);
});
