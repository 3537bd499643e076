import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeApiServer, status } from '../nodes/fake-api-server.ts';
import { type Outcome, runCli } from '../support/cli.ts';
import { clusterNodes, fixtureNode, type KubeObject, osmoPod } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';

/* `osmo-admission review` of a cluster as it stands. */

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cluster-review-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const put = (name: string, content: object): string => {
  const path = join(directory, name);
  writeFileSync(path, stringify(content));
  return path;
};

const review = (args: readonly string[]): Promise<Outcome> => runCli(['review', ...args]);

const nodesFile = (...items: readonly KubeObject[]): string =>
  put('nodes.yaml', { apiVersion: 'v1', kind: 'List', items });
const policyFile = (sections: object): string =>
  put('policy.yaml', { apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...sections });
const changed = (name: string, path: string, value: unknown): KubeObject =>
  apply(fixtureNode(name), [{ op: 'replace', path, value }]) as KubeObject;
const oldDriver = changed('gpu-1', '/metadata/labels/nvidia.com~1cuda.driver-version.full', '535.104.05');
const oldKubelet = changed('compute-1', '/status/nodeInfo/kubeletVersion', 'v1.29.6');
const smallControl = changed('control-1', '/status/capacity/cpu', '4');

/** Lines of the table of findings, blanks squeezed. */
const lines = (stdout: string): readonly string[] => stdout.split('\n').map((line) => line.replace(/ {2,}/g, ' | '));

describe('a review of a cluster by its nodes', () => {
  it('of nodes that conform exits 0, and shows what no label states as unknown', async () => {
    const { code, stdout } = await review([
      '--nodes',
      nodesFile(...clusterNodes().map((node) => ({ kind: 'Node', ...node }))),
    ]);
    expect(code).toBe(0);
    expect(lines(stdout)).toContain(
      'jetson-1 | jetson | jetpack | (not shown) | JetPack 6.2 or later | Compute Nodes (User Workflows): Operating System (GPU nodes) | unknown | name a label that carries it under jetpack.label or jetpack.l4tLabel of the policy file',
    );
    expect(stdout).toContain('6 nodes, 0 of them not conforming; pods were not looked at (give --kubeconfig)');
  });

  it.each([
    [
      'refused',
      oldKubelet,
      'compute-1 | compute | kubernetes-version | v1.29.6 | 1.30.0 or later | Kubernetes Cluster: Kubernetes Version | violates (a new one is refused) |',
    ],
    [
      'quarantined',
      oldDriver,
      'gpu-1 | gpu | driver | 535.104.05 | 535.216.03 or later | Compute Nodes (User Workflows): NVIDIA Driver | violates (a new one is marked) |',
    ],
  ])('of one that a policy would have %s exits 1 and says what to do', async (_, node, line) => {
    const { code, stdout } = await review(['--nodes', nodesFile(node)]);
    expect(code).toBe(1);
    expect(lines(stdout).find((found) => found.startsWith(line))).toMatch(/(upgrade|install) /);
    expect(stdout).toContain('1 node, 1 of them not conforming');
  });

  it('fails for nobody below that: a warning, a control plane under its ceiling, an exempt node', async () => {
    const warned = policyFile({ rules: { 'node-conformance': { enforcement: { 'kubernetes-version': 'warn' } } } });
    expect((await review(['--nodes', nodesFile(oldKubelet), '--config', warned])).code).toBe(0);
    const control = await review(['--nodes', nodesFile(smallControl)]);
    expect(control.code).toBe(0);
    expect(lines(control.stdout).join()).toContain(
      'control-1 | control-plane | cpu | 4 | 12 for a control-plane node | Kubernetes Cluster: CPU | violates (warn)',
    );
    const exempt = policyFile({ exemptions: [{ reason: 'virtual kubelet', nodes: ['compute-1'] }] });
    const spared = await review(['--nodes', nodesFile(oldKubelet), '--config', exempt]);
    expect(spared.code).toBe(0);
    expect(spared.stdout).toContain('violates (exempt)');
  });

  it('has a matrix of the guide’s rows, in the order of the guide', async () => {
    const { stdout } = await review(['--nodes', nodesFile(oldDriver, fixtureNode('operator-1'))]);
    const legend = lines(stdout);
    expect(legend).toContain('1 | kubernetes-version | Kubernetes Cluster: Kubernetes Version');
    expect(legend).toContain(
      '2 | architecture | Backend-Operator Nodes: Architecture; Compute Nodes (User Workflows): GPU Workloads',
    );
    expect(legend).toContain('5 | cpu | Backend-Operator Nodes: CPU');
    const row = (name: string): readonly string[] =>
      stdout.match(new RegExp(`^${name} {2,}[+X?].*$`, 'm'))?.[0].split(/ +/) ?? [];
    expect(row('gpu-1').filter((sign) => sign === 'X')).toHaveLength(1);
    expect(
      row('operator-1')
        .slice(1)
        .every((sign) => sign === '+'),
    ).toBe(true);
  });

  it('says the same to programs', async () => {
    const { code, stdout } = await review(['--nodes', nodesFile(oldDriver), '-o', 'json']);
    expect(code).toBe(1);
    const [node] = JSON.parse(stdout).nodes;
    expect(node).toMatchObject({ node: 'gpu-1', type: 'gpu', nonConforming: true });
    expect(node.requirements).toContainEqual({
      ...{ requirement: 'driver', verdict: 'violates', enforcement: 'quarantine', has: '535.104.05' },
      needs: '535.216.03 or later',
      field: 'metadata.labels[nvidia.com/cuda.driver-version.full]',
      guide: 'Compute Nodes (User Workflows): NVIDIA Driver',
      fix: 'install NVIDIA driver 535.216.03 or later on this node (with the GPU operator: its driver.version)',
    });
    expect(node.requirements.map(({ verdict }: { verdict: string }) => verdict)).toContain('unknown');
    const yaml = await review(['--nodes', nodesFile(oldDriver), '-o', 'yaml']);
    expect(yaml.stdout).toMatch(/^apiVersion: osmo-admission\/v1alpha1\nkind: ClusterReview\n/);
  });
});

describe('a review of a cluster by its kubeconfig', () => {
  let server: FakeApiServer;
  let kubeconfig: string;
  beforeEach(async () => {
    server = new FakeApiServer();
    kubeconfig = put('kubeconfig', {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: await server.start() } }],
      users: [{ name: 'u', user: {} }],
    });
    server.nodes = [
      { ...fixtureNode('compute-1'), metadata: { name: 'compute-1', labels: { 'node-type': 'compute' } } },
    ];
  });
  afterEach(() => server.stop());

  /** Answers lists of pods by their path. */
  function pods(lists: Readonly<Record<string, readonly unknown[]>>): string[] {
    const asked: string[] = [];
    server.misbehave = (request, response) => {
      const url = new URL(request.url ?? '', 'http://fake');
      const items = lists[url.pathname];
      if (!url.pathname.endsWith('/pods')) return false;
      asked.push(`${url.pathname} ${url.searchParams.get('fieldSelector')} ${url.searchParams.get('labelSelector')}`);
      response.writeHead(200).end(JSON.stringify({ metadata: {}, items: items ?? [] }));
      return true;
    };
    return asked;
  }

  it('lists workflow pods that run or wait and leave operator nodes open', async () => {
    const bare = {
      metadata: { name: 'bare', namespace: 'osmo-workflows' },
      spec: { nodeName: 'compute-1' },
      status: { phase: 'Running' },
    };
    const placed = apply(osmoPod('onprem-gpu-l40s'), [
      { op: 'add', path: '/spec/nodeSelector', value: { 'node-type': 'gpu' } },
      { op: 'add', path: '/status', value: { phase: 'Pending' } },
    ]);
    const exempt = {
      metadata: { name: 'e', namespace: 'osmo-test', labels: { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' } },
      spec: {},
    };
    const asked = pods({ '/api/v1/namespaces/osmo-workflows/pods': [bare, placed], '/api/v1/pods': [exempt] });
    const { code, stdout } = await review(['--kubeconfig', kubeconfig]);
    expect(code).toBe(0);
    expect(lines(stdout)).toContain('osmo-workflows | bare | Running | compute-1');
    expect(stdout).toContain('1 workflow pod without the exclusion');
    expect(asked).toEqual([
      '/api/v1/namespaces/osmo-workflows/pods status.phase!=Succeeded,status.phase!=Failed null',
      '/api/v1/pods status.phase!=Succeeded,status.phase!=Failed,metadata.namespace!=osmo-workflows osmo.workflow_uuid,osmo.task_uuid',
    ]);
  });

  it('names what it cannot read, judges the rest, and exits 2', async () => {
    pods({
      '/api/v1/namespaces/osmo-workflows/pods': [
        { metadata: { name: 'odd', namespace: 'n' }, spec: { tolerations: 5 } },
      ],
    });
    const { code, stdout } = await review(['--kubeconfig', kubeconfig]);
    expect(code).toBe(2);
    expect(stdout).toContain('Pod/odd: Pod.spec.tolerations: must be a list, not a number');
  });

  it('says what the API server said where it may not list', async () => {
    server.misbehave = (_request, response) => {
      status(response, 403, 'nodes is forbidden');
      return true;
    };
    const { code, stderr } = await review(['--kubeconfig', kubeconfig]);
    expect(code).toBe(2);
    expect(stderr).toContain('cannot be read: HTTP 403: nodes is forbidden');
  });

  it('gives its nodes to a review of manifests, too', async () => {
    pods({});
    const pod = put('pod.yaml', {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name: 'p', namespace: 'osmo-workflows' },
      spec: { nodeName: 'compute-1', containers: [] },
    });
    expect((await review(['-f', pod, '--kubeconfig', kubeconfig])).code).toBe(0);
    const ghost = put('ghost.yaml', {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name: 'p', namespace: 'osmo-workflows' },
      spec: { nodeName: 'ghost', containers: [] },
    });
    expect((await review(['-f', ghost, '--kubeconfig', kubeconfig])).code).toBe(1);
  });

  it('takes nodes from one source', async () => {
    const { code, stderr } = await review(['--kubeconfig', kubeconfig, '--nodes', nodesFile(oldDriver)]);
    expect(code).toBe(2);
    expect(stderr).toContain('give --nodes or --kubeconfig, not both');
  });
});
