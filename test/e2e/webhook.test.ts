import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { type ServerProcess, serverName, startProcess } from '../../scripts/server-process.ts';
import type { AuditRecord } from '../../src/policy/model/record.ts';
import { createSelfSigned } from '../../src/server/self-signed.ts';
import { eventually } from '../server/support.ts';
import { clusterNodes, fixtureNode, type KubeObject, osmoPod, osmoPods } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';
import { findBinaries } from './binaries.ts';
import { type ControlPlane, type Said, say, startControlPlane } from './control-plane.ts';

/*
 * The webhook behind a real kube-apiserver, asked with real kubectl, installed by the manifests that `osmo-admission manifests` prints. Two things
 * stand in for what is not there: the Service is an ExternalName to this machine, and the caBundle is put in as cert-manager would.
 */

const root = join(import.meta.dirname, '..', '..');
const launcher = join(root, 'bin', 'osmo-admission');
/** A loopback address of this run's own, so that two runs do not meet on port 443. */
const address = `127.${1 + (process.pid % 250)}.${1 + (Date.now() % 250)}.9`;

let directory: string;
let plane: ControlPlane;
let webhook: ServerProcess;
let serveArgs: readonly string[];

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'e2e-'));
  plane = await startControlPlane(findBinaries(process.env), directory);
  const now = Date.now();
  const { certPem, keyPem, caPem } = createSelfSigned({
    dnsNames: [serverName],
    ipAddresses: [],
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 3_600_000),
  });
  serveArgs = [
    ...[
      'serve',
      '--kubeconfig',
      plane.kubeconfig,
      '--namespace',
      'osmo-admission',
      '--host',
      address,
      '--port',
      '443',
      '--health-port',
      '0',
    ],
    ...['--tls-cert-file', file('tls.crt', certPem), '--tls-private-key-file', file('tls.key', keyPem)],
    ...[
      '--audit-log',
      join(directory, 'audit.log'),
      '--shutdown-delay',
      '0s',
      '--config',
      file('policy.yaml', policy()),
      '--reload-interval',
      '1s',
    ],
  ];
  webhook = await startProcess(launcher, serveArgs);
  await install(caPem);
}, 600_000);

afterAll(async () => {
  await webhook?.stop();
  await plane?.stop();
  rmSync(directory, { recursive: true, force: true });
}, 60_000);

async function install(caPem: string): Promise<void> {
  const { stdout: manifests } = await say(launcher, ['manifests']);
  // cert-manager is not there: its objects are the only ones left out.
  const objects = parseAllDocuments(manifests).map((document): KubeObject => document.toJS());
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'osmo-admission-webhook', namespace: 'osmo-admission' },
    spec: { type: 'ExternalName', externalName: address },
  };
  const applied = objects.filter(({ apiVersion, kind }) => apiVersion !== 'cert-manager.io/v1' && kind !== 'Service');
  await good(
    ['apply', '-f', '-'],
    [
      ...applied,
      service,
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'osmo-workflows' } },
      { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'nvidia' }, handler: 'nvidia' },
    ],
  );
  for (const namespace of ['osmo-workflows', 'default'])
    await plane.kubectl(['create', 'serviceaccount', 'default', '-n', namespace]);
  const caBundle = Buffer.from(caPem).toString('base64');
  for (const { kind, webhooks } of applied) {
    if (!String(kind).endsWith('WebhookConfiguration') || !Array.isArray(webhooks)) continue;
    const patch = webhooks.map((_, index) => ({
      op: 'add',
      path: `/webhooks/${index}/clientConfig/caBundle`,
      value: caBundle,
    }));
    await good(['patch', String(kind), 'osmo-admission-webhook', '--type', 'json', '-p', JSON.stringify(patch)]);
  }
  await eventually('the API server calls the webhook', async () =>
    (await dryRun(bad)).stderr.includes('denied the request'),
  );
  await good(
    ['create', '-f', '-'],
    clusterNodes().map((node) => ({ apiVersion: 'v1', kind: 'Node', ...node })),
  );
}

/** The default policy, but for the kubelet's fake container runtime and the operating system of whatever machine this is. */
function policy(kubernetes = '1.30.0'): string {
  const conformance = { kubernetes, enforcement: { 'container-runtime': 'off', 'os-image': 'off' } };
  return stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    rules: { 'node-conformance': conformance },
  });
}

const yamlOf = (objects: readonly object[]): string => objects.map((object) => stringify(object)).join('---\n');

/** kubectl that must succeed. */
async function good(args: readonly string[], objects: readonly object[] = []): Promise<Said> {
  const said = await plane.kubectl(args, { stdin: yamlOf(objects) });
  if (said.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${said.stderr}`);
  return said;
}

const dryRun = (object: object, args: readonly string[] = []): Promise<Said> =>
  plane.kubectl(['apply', '--dry-run=server', '-f', '-', ...args], { stdin: stringify(object) });

const gpuPod = osmoPods('gang-2-task-gpu8')[0] ?? {};
const bad = apply(gpuPod, [
  { op: 'add', path: '/spec/tolerations/-', value: { operator: 'Exists' } },
  { op: 'add', path: '/spec/nodeSelector/node-type', value: 'operator' },
]) as KubeObject;
const newNode = (name: string, kubelet = 'v1.32.4'): KubeObject =>
  apply(fixtureNode('compute-1'), [
    { op: 'replace', path: '/metadata/name', value: name },
    { op: 'replace', path: '/metadata/labels/kubernetes.io~1hostname', value: name },
    { op: 'replace', path: '/status/nodeInfo/kubeletVersion', value: kubelet },
  ]) as KubeObject;

describe('kubectl apply --dry-run=server', () => {
  it('of a bad pod prints our denial with every finding, exits 1, and leaves nothing behind', async () => {
    const { code, stderr } = await dryRun(bad);
    expect(code).toBe(1);
    expect(stderr).toContain('Error from server (Forbidden)');
    expect(stderr).toContain('admission webhook "pods.validate.osmo-admission" denied the request');
    for (const id of ['(operator-node-guard/tolerates)', '(operator-node-guard/selects)', '(placement/conflict)'])
      expect(stderr).toContain(id);
    expect((await good(['get', 'pods', '-n', 'osmo-workflows', '-o', 'name'])).stdout).toBe('');
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
    expect((await good(['get', 'pods', '-n', 'osmo-workflows', '-o', 'name'])).stdout).toBe('');
  });

  it('admits every pod that OSMO renders: each patch applies and survives the API server’s own validation', async () => {
    for (const name of ['chart-default-cpu', 'onprem-compute-cpu', 'onprem-gpu-l40s', 'onprem-jetson-no-gpu-request']) {
      const { code, stderr } = await dryRun(osmoPod(name));
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
    await good(['delete', 'node', 'compute-9']);
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
  it('that violates the guide logs our reason and does not register; it registers once the policy allows it', async () => {
    file('policy.yaml', policy('1.99.0'));
    await eventually(
      'the policy is in force',
      async () =>
        (
          await plane.kubectl(['create', '--dry-run=server', '-f', '-'], {
            stdin: stringify(newNode('gpu-9')),
            as: 'gpu-9',
          })
        ).code === 1,
    );
    const log = await plane.startKubelet('gpu-9', 'node-type=compute');
    const reason = /denied the request: .*kubeletVersion of node gpu-9 is v1\.37\.2, needs 1\.99\.0 or later/;
    await eventually('the reason is in its log', () => reason.test(readFileSync(log, 'utf8')), 3_000);
    expect((await plane.kubectl(['get', 'node', 'gpu-9'])).stderr).toContain('(NotFound)');
    file('policy.yaml', policy());
    await eventually('it registers', async () => (await plane.kubectl(['get', 'node', 'gpu-9'])).code === 0, 600);
  }, 120_000);
});

describe('the records', () => {
  it('stand in our log, one for each call, and are joined by annotations in the API server’s own', async () => {
    await dryRun(bad);
    const deniedPods = (): readonly AuditRecord[] =>
      readFileSync(join(directory, 'audit.log'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line): AuditRecord => JSON.parse(line))
        .filter(
          ({ decision, objectRef, user }) =>
            decision === 'deny' && objectRef.resource === 'pods' && user.username === 'admin',
        );
    await eventually('the record', () => deniedPods().length > 0);
    const denied = deniedPods().at(-1);
    expect(denied).toMatchObject({ phase: 'validate', dryRun: true, nodes: { state: 'synced' } });
    const annotations = plane
      .auditEvents()
      .map((event) => Object(event.annotations))
      .filter((entry) => entry['pods.validate.osmo-admission/decision'] === 'deny');
    expect(annotations.at(-1)).toMatchObject({
      'pods.validate.osmo-admission/rules': 'operator-node-guard,placement',
      'pods.validate.osmo-admission/policy-digest': denied?.policyDigest,
    });
  });
});

describe('a burst', () => {
  it('of 50 pods at once fails none', async () => {
    const results = await Promise.all(Array.from({ length: 50 }, () => dryRun(gpuPod)));
    expect(results.filter(({ code }) => code !== 0).map(({ stderr }) => stderr)).toEqual([]);
  }, 120_000);
});

describe('while the webhook is away', () => {
  it('workflow pods are refused, nodes and other pods admitted; and all is as before when it is back', async () => {
    await webhook.stop();
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
    webhook = await startProcess(launcher, serveArgs);
    await eventually('it is back', async () => (await dryRun(gpuPod)).code === 0);
    expect((await dryRun(bad)).code).toBe(1);
  });
});
