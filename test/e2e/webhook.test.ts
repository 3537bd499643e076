import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { ControlPlane, Said } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { clusterNodes, type KubeObject, osmoFiles, osmoPod, osmoPods } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';
import { recordHashesIn } from '../support/record-hash.ts';
import { nodeOf } from './support/nodes.ts';
import { kubeletPolicy } from './support/policy.ts';

/* What a cluster operator and a workflow author see: real kubectl and real kubelet code against a real API server. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: kubeletPolicy() });
  await plane.apply(
    ['create', '-f', '-'],
    clusterNodes().map((node) => ({ apiVersion: 'v1', kind: 'Node', ...node })),
  );
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const dryRun = (object: object, args: readonly string[] = []): Promise<Said> =>
  plane.kubectl(['apply', '--dry-run=server', '-f', '-', ...args], { stdin: stringify(object) });

const mergePatch = { contentType: 'application/merge-patch+json' };

const gpuPod = osmoPods('gang-2-task-gpu8')[0] ?? {};
const bad = apply(gpuPod, [
  { op: 'add', path: '/spec/tolerations/-', value: { operator: 'Exists' } },
  { op: 'add', path: '/spec/nodeSelector/node-type', value: 'operator' },
]) as KubeObject;
const newNode = (name: string, kubelet?: string): KubeObject => nodeOf(name, 'compute', kubelet);

describe('kubectl apply --dry-run=server', () => {
  it('of a bad pod prints our denial with every finding, exits 1, and leaves nothing behind', async () => {
    const { code, stderr } = await dryRun(bad);
    expect(code).toBe(1);
    expect(stderr).toContain('Error from server (Forbidden)');
    expect(stderr).toContain('admission webhook "pods.validate.osmo-admission" denied the request');
    for (const id of ['(operator-node-guard/tolerates)', '(operator-node-guard/selects)', '(placement/conflict)'])
      expect(stderr).toContain(id);
    expect((await plane.apply(['get', 'pods', '-n', 'osmo-workflows', '-o', 'name'])).stdout).toBe('');
  });

  it('of a good GPU pod shows the injected selector, tolerations and exclusion', async () => {
    const { code, stdout } = await dryRun(gpuPod, ['-o', 'json']);
    expect(code).toBe(0);
    const { spec } = JSON.parse(stdout);
    expect(spec.nodeSelector).toMatchObject({ 'node-type': 'gpu' });
    expect(spec.tolerations).toContainEqual({
      key: 'node-type',
      operator: 'Equal',
      value: 'gpu',
      effect: 'NoSchedule',
    });
    expect(JSON.stringify(spec.affinity)).toContain('{"key":"node-type","operator":"NotIn","values":["operator"]}');
    expect((await plane.apply(['get', 'pods', '-n', 'osmo-workflows', '-o', 'name'])).stdout).toBe('');
  });

  it('admits every pod that OSMO renders: each patch applies and survives the API server’s own validation', async () => {
    const all = osmoFiles().flatMap((name) => osmoPods(name).map((pod) => ({ name, pod })));
    expect(all.length).toBeGreaterThan(5);
    for (const { name, pod } of all) {
      const { code, stderr } = await dryRun(pod);
      expect(`${name} ${code} ${stderr}`).toBe(`${name} 0 `);
    }
  });

  it('judges a pod with the workflow labels in any namespace, and no other pod there', async () => {
    const elsewhere = (labels: object): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'default', labels },
      spec: { containers: [{ name: 'c', image: 'x' }], tolerations: [{ operator: 'Exists' }] },
    });
    expect((await dryRun(elsewhere({ 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' }))).stderr).toContain(
      'pods-elsewhere.validate.osmo-admission',
    );
    expect((await dryRun(elsewhere({}))).code).toBe(0);
  });

  it('judges a pod that is as large as the API server stores it, padded with what a review writes six times as long', async () => {
    const args = ['<'.repeat(1_250_000)];
    const padded = apply(bad, [
      { op: 'add', path: '/spec/containers/0/args', value: args },
      { op: 'replace', path: '/metadata/namespace', value: 'default' },
    ]);
    const { code, body } = await plane.api.send('POST', '/api/v1/namespaces/default/pods?dryRun=All', padded);
    expect(`${code} ${body.message}`).toContain(
      '403 admission webhook "pods-elsewhere.validate.osmo-admission" denied',
    );
  });

  it('of a pod bound to a node that does not exist is denied after a live look-up', async () => {
    const bound = apply(osmoPod('chart-default-cpu'), [
      { op: 'add', path: '/spec/nodeName', value: 'ghost' },
    ]) as KubeObject;
    expect((await dryRun(bound)).stderr).toContain('a node that does not exist now');
  });
});

describe('nodes', () => {
  it('that are new and violate the guide are refused, with the reason in one line', async () => {
    const { code, stderr } = await plane.kubectl(['create', '-f', '-'], {
      stdin: stringify(newNode('compute-9', 'v1.29.6')),
      as: 'compute-9',
    });
    expect(code).toBe(1);
    expect(stderr).toContain('Error from server (UnprocessableEntity)');
    expect(stderr).toContain('is v1.29.6, needs 1.30.0 or later');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('that meet it register, and are never refused again', async () => {
    const asKubelet = (node: KubeObject): Promise<Said> =>
      plane.kubectl(['create', '-f', '-'], { stdin: stringify(node), as: 'compute-9' });
    expect((await asKubelet(newNode('compute-9'))).code).toBe(0);
    // A kubelet that restarts posts CREATE first, here with a version that would be refused of a new node.
    const again = await asKubelet(newNode('compute-9', 'v1.29.6'));
    expect(again.stderr).toContain('(AlreadyExists)');
    expect(again.stderr).toContain('Warning: kubernetes-version: has v1.29.6, needs 1.30.0 or later');
    expect(again.stderr).not.toContain('denied the request');
  });

  it('are refused again once they are deleted', async () => {
    await plane.apply(['delete', 'node', 'compute-9']);
    await eventually('the node is new again', async () =>
      (
        await plane.kubectl(['create', '--dry-run=server', '-f', '-'], {
          stdin: stringify(newNode('compute-9', 'v1.29.6')),
          as: 'compute-9',
        })
      ).stderr.includes('UnprocessableEntity'),
    );
  });
});

describe('a real kubelet', () => {
  /** Switches to a policy that no kubelet meets. */
  async function refuseAll(): Promise<void> {
    webhook.writePolicy(kubeletPolicy('1.99.0'));
    const probe = { stdin: stringify(newNode('compute-9')), as: 'compute-9' };
    await eventually(
      'the policy is in force',
      async () => (await plane.kubectl(['create', '--dry-run=server', '-f', '-'], probe)).code === 1,
    );
  }

  it('that violates the guide logs our reason and does not register; it registers once the policy allows it', async () => {
    await refuseAll();
    const log = await plane.startKubelet('gpu-9', 'node-type=compute');
    const reason = `kubeletVersion of node gpu-9 is v${inject('kubernetes')}, needs 1.99.0 or later`;
    await eventually('the reason is in its log', () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .some(
          (line) =>
            line.includes('denied the request: ') &&
            line.includes(reason) &&
            line.includes('(node-conformance/kubernetes-version)'),
        ),
    );
    expect((await plane.kubectl(['get', 'node', 'gpu-9'])).stderr).toContain('(NotFound)');
    webhook.writePolicy(kubeletPolicy());
    await eventually('it registers', async () => (await plane.kubectl(['get', 'node', 'gpu-9'])).code === 0);
  }, 120_000);

  it('that meets the guide registers at once', async () => {
    await plane.startKubelet('kubelet-1', 'node-type=compute');
    await eventually('it registers', async () => (await plane.kubectl(['get', 'node', 'kubelet-1'])).code === 0);
    expect(readFileSync(plane.processes.logFile('kubelet-kubelet-1'), 'utf8')).not.toContain('denied the request');
  }, 120_000);

  it('that restarts is never refused, though its node violates the guide by now: it is warned, and goes on', async () => {
    await plane.stopKubelet('kubelet-1');
    await refuseAll();
    const renewed = async (): Promise<string> =>
      (await plane.kubectl(['get', 'lease', '-n', 'kube-node-lease', 'kubelet-1', '-o', 'jsonpath={.spec.renewTime}']))
        .stdout;
    const before = await renewed();
    const log = await plane.startKubelet('kubelet-1', 'node-type=gpu');
    const warned = [{ rule: 'node-conformance', reason: 'kubernetes-version', enforcement: 'warn' }];
    await eventually('it registers again, and is warned', () => {
      const own = webhook.records().filter(({ user }) => user.username === 'system:node:kubelet-1');
      return own.some(({ decision, findings }) => decision === 'allow' && findings.length === warned.length);
    });
    const registrations = webhook.records().filter(({ user }) => user.username === 'system:node:kubelet-1');
    expect(registrations.at(-1)?.findings).toMatchObject(warned);
    expect(registrations.filter(({ decision }) => decision !== 'allow')).toEqual([]);
    await eventually('it renews its lease', async () => (await renewed()) > before, 60_000);
    expect(readFileSync(log, 'utf8')).not.toContain('denied the request');
    webhook.writePolicy(kubeletPolicy());
  }, 120_000);
});

describe('a burst', () => {
  it('of 200 parallel creates fails none, and each pod is stored with its patch', async () => {
    const path = '/api/v1/namespaces/osmo-workflows/pods';
    const pod = osmoPod('onprem-gpu-l40s');
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        plane.api.send('POST', path, { ...pod, metadata: { ...Object(pod.metadata), name: `burst-${index}` } }),
      ),
    );
    expect(answers.filter(({ code }) => code !== 201).map(({ body }) => body.message)).toEqual([]);
    expect(answers.filter(({ body }) => body.spec.nodeSelector?.['node-type'] !== 'gpu')).toEqual([]);
    for (let i = 0; i < 200; i++) {
      await plane.api.send('PATCH', `${path}/burst-${i}`, { metadata: { finalizers: null } }, mergePatch);
    }
    await plane.api.send('DELETE', path, { gracePeriodSeconds: 0 });
    expect(await plane.api.list(path)).toEqual([]);
  }, 120_000);
});

describe('while the webhook is away', () => {
  it('workflow pods are refused, nodes and other pods admitted; and all is as before when it is back', async () => {
    await webhook.stopServer();
    expect((await dryRun(gpuPod)).stderr).toContain('failed calling webhook "pods.mutate.osmo-admission"');
    const labelled = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'default', labels: { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' } },
      spec: { containers: [{ name: 'c', image: 'x' }] },
    };
    expect((await dryRun(labelled)).code).toBe(0);
    expect(
      (
        await plane.kubectl(['create', '--dry-run=server', '-f', '-'], {
          stdin: stringify(newNode('compute-9', 'v1.29.6')),
          as: 'compute-9',
        })
      ).code,
    ).toBe(0);
    await webhook.startServer();
    await eventually('it is back', async () => (await dryRun(gpuPod)).code === 0);
    expect((await dryRun(bad)).code).toBe(1);
  });
});

describe('the records', () => {
  it('are named by the annotations of the API server’s own audit log, on admitted and denied requests alike, and all are found in ours', async () => {
    const named = plane.auditEvents().flatMap(({ annotations }) =>
      recordHashesIn(annotations).map(({ webhook: name, hash }) => ({
        hash,
        decision: Object(annotations)[`${name}.osmo-admission/decision`],
      })),
    );
    for (const decision of ['allow', 'deny']) {
      expect(named.filter((entry) => entry.decision === decision).length).toBeGreaterThan(5);
    }
    await eventually('all are written', () => named.every(({ hash }) => webhook.recordsByHash().has(hash)));
    const ours = webhook.recordsByHash();
    expect(named.filter(({ hash }) => !ours.has(hash))).toEqual([]);
    // One record for each call.
    expect(new Set(named.map(({ hash }) => hash)).size).toBe(named.length);
  });

  it('say what was decided, on which nodes, by which policy', async () => {
    await dryRun(bad);
    const { auditId } = await plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods?dryRun=All', bad);
    const event = await plane.auditAnnotations(auditId);
    expect(event).toMatchObject({
      'pods.validate.osmo-admission/decision': 'deny',
      'pods.validate.osmo-admission/rules': 'operator-node-guard,placement,exemptions',
    });
    const hash = String(event['pods.validate.osmo-admission/record-hash']);
    await eventually('the record is written', () => webhook.recordsByHash().has(hash));
    const record = webhook.recordsByHash().get(hash);
    expect(record).toMatchObject({
      phase: 'validate',
      decision: 'deny',
      dryRun: true,
      user: { username: 'admin' },
      nodes: { state: 'synced' },
      policyDigest: event['pods.validate.osmo-admission/policy-digest'],
    });
  });
});
