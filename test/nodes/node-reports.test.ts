import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type ApiClient, ApiError } from '../../src/cluster/api-client.ts';
import { createNodeReports, type NodeReports } from '../../src/cluster/node-reports.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import type { Node } from '../../src/policy/model/node.ts';
import { readNode } from '../../src/policy/model/read-node.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { fixtureNode } from '../support/fixtures.ts';
import { apply, type Operation } from '../support/json-patch.ts';

const nowMs = Date.parse('2026-11-26T10:00:00Z');

interface World {
  readonly reports: NodeReports;
  readonly events: Readonly<Record<string, unknown>>[];
  readonly logged: string[];
  readonly counted: string[];
  /** Queries for pods. */
  readonly asked: string[];
}

interface Setting {
  readonly rules?: object;
  readonly extra?: object;
  readonly pods?: readonly { readonly namespace: string; readonly name: string }[];
  readonly searchPods?: boolean;
  /** What the API server answers to an Event. */
  readonly refuse?: number;
}

function world({ rules: settings = {}, extra = {}, pods = [], searchPods = true, refuse }: Setting = {}): World {
  const policy = createPolicyParser({ rules, ownNamespace: 'osmo-admission', ownUser: 'webhook' })(
    stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', rules: settings, ...extra }),
    'policy.yaml',
  );
  const [events, logged, counted, asked]: [World['events'], string[], string[], string[]] = [[], [], [], []];
  const client: ApiClient = {
    get: async (path, query) => {
      asked.push(`${path} ${query.fieldSelector ?? ''}`);
      return { metadata: {}, items: pods.map((metadata) => ({ metadata })) };
    },
    send: async (_method, path, body) => {
      if (refuse !== undefined) throw new ApiError(refuse, `HTTP ${refuse}`);
      events.push({ path, ...Object(body) });
      return body;
    },
    watch: () => Promise.reject(new Error('not asked for')),
    close: () => Promise.resolve(),
  };
  const reports = createNodeReports({
    client,
    policy: () => policy,
    searchPods,
    component: 'osmo-admission-webhook',
    namespace: 'default',
    log: (_level, message, fields) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`),
    onReport: (reason) => void counted.push(reason),
    now: () => nowMs,
  });
  return { reports, events, logged, counted, asked };
}

/** A node of the fixture cluster, changed. */
const nodeWith = (name: string, ...operations: readonly Operation[]): Node =>
  readNode(apply(fixtureNode(name), operations), 'Node');
const set = (path: string, value: unknown): Operation => ({ op: 'add', path, value });
const kubelet = (version: string): Operation => set('/status/nodeInfo/kubeletVersion', version);

/** What is told of a change, once all of it is. */
async function told(after: Node, before: Node | undefined, setting: Setting = {}): Promise<World> {
  const all = world(setting);
  all.reports.changed(after, before, '77');
  await settled();
  return all;
}

/** Promises that are fulfilled already need no time, only turns. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

describe('a node that changes without an admission request', () => {
  it('is reported by log, count and Event on the Node when its kubelet falls below the minimum', async () => {
    const { events, logged, counted } = await told(nodeWith('compute-1', kubelet('v1.29.1')), nodeWith('compute-1'));
    expect(counted).toEqual(['kubernetes-version']);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain('"node":"compute-1"');
    expect(events).toEqual([
      {
        path: '/api/v1/namespaces/default/events',
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: expect.stringMatching(/^compute-1\.[0-9a-f]{16}$/), namespace: 'default' },
        involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'compute-1', uid: 'compute-1' },
        type: 'Warning',
        reason: 'NodeNonConforming',
        message: expect.stringMatching(
          /^status\.nodeInfo\.kubeletVersion is now v1\.29\.1, needs 1\.30\.0 or later.*\(node-conformance\/kubernetes-version\)$/,
        ),
        source: { component: 'osmo-admission-webhook' },
        firstTimestamp: '2026-11-26T10:00:00Z',
        lastTimestamp: '2026-11-26T10:00:00Z',
        count: 1,
      },
    ]);
  });

  it.each([
    [
      'an InternalIP that changes',
      nodeWith('compute-1', set('/status/addresses', [{ type: 'InternalIP', address: '10.9.9.9' }])),
      'address',
    ],
    ['memory that is gone', nodeWith('compute-1', set('/status/capacity/memory', '16Gi')), 'capacity'],
    ['a core that is gone', nodeWith('compute-1', set('/status/capacity/cpu', '1')), 'capacity'],
    [
      'a container runtime that goes back',
      nodeWith('compute-1', set('/status/nodeInfo/containerRuntimeVersion', 'containerd://1.6.0')),
      'container-runtime',
    ],
  ])('is reported for %s', async (_what, after, reason) => {
    const { counted, events } = await told(after, nodeWith('compute-1'));
    expect(counted).toContain(reason);
    expect(events).toHaveLength(counted.length);
  });

  it.each([
    ['a heartbeat', nodeWith('compute-1'), nodeWith('compute-1')],
    ['a better kubelet', nodeWith('compute-1', kubelet('v1.40.0')), nodeWith('compute-1')],
    ['what it violated before', nodeWith('compute-1', kubelet('v1.28.0')), nodeWith('compute-1', kubelet('v1.29.0'))],
    [
      'a little less memory, as a new kernel takes',
      nodeWith('compute-1', set('/status/capacity/memory', '999000Ki')),
      nodeWith('compute-1', set('/status/capacity/memory', '1000000Ki')),
    ],
    [
      'an extended resource that goes: device plugins come and go',
      nodeWith('gpu-1', set('/status/capacity', { cpu: '64' })),
      nodeWith('gpu-1', set('/status/capacity', { cpu: '64', 'nvidia.com/gpu': '8' })),
    ],
    [
      'another machine under the same name',
      nodeWith('compute-1', kubelet('v1.29.0'), set('/metadata/creationTimestamp', '2026-11-26T09:00:00Z')),
      nodeWith('compute-1', set('/metadata/creationTimestamp', '2026-11-25T09:00:00Z')),
    ],
    ['a node that was not there: its registration was judged', nodeWith('compute-1', kubelet('v1.29.0')), undefined],
  ])('is not reported for %s', async (_what, after, before) => {
    const { counted, events } = await told(after, before);
    expect([counted, events]).toEqual([[], []]);
  });

  it('is logged only under audit, and not at all where the reason is off or the node is exempt', async () => {
    const of = (setting: Setting) => told(nodeWith('compute-1', kubelet('v1.29.1')), nodeWith('compute-1'), setting);
    const enforcement = (value: string): Setting => ({
      rules: { 'node-conformance': { enforcement: { 'kubernetes-version': value } } },
    });
    const audit = await of(enforcement('audit'));
    expect([audit.counted, audit.events]).toEqual([['kubernetes-version'], []]);
    const monitor = await of({ extra: { preset: 'monitor' } });
    expect([monitor.counted, monitor.events]).toEqual([['kubernetes-version'], []]);
    expect((await of(enforcement('off'))).counted).toEqual([]);
    const exemptions = [{ reason: 'a virtual kubelet', nodes: ['compute-1'] }];
    expect((await of({ extra: { exemptions } })).counted).toEqual([]);
  });

  it('gives two replicas one Event: the same name, and a 409 is no failure', async () => {
    const [first, second] = await Promise.all(
      [undefined, undefined].map(() => told(nodeWith('compute-1', kubelet('v1.29.1')), nodeWith('compute-1'))),
    );
    expect(first?.events).toEqual(second?.events);
    const late = await told(nodeWith('compute-1', kubelet('v1.29.1')), nodeWith('compute-1'), { refuse: 409 });
    expect(late.logged).toHaveLength(1);
  });

  it('says once that Events cannot be written, and loses neither log nor count', async () => {
    const all = world({ refuse: 403 });
    all.reports.changed(nodeWith('compute-1', kubelet('v1.29.1')), nodeWith('compute-1'), '1');
    all.reports.changed(nodeWith('gpu-1', kubelet('v1.29.1')), nodeWith('gpu-1'), '2');
    await settled();
    expect(all.counted).toEqual(['kubernetes-version', 'kubernetes-version']);
    expect(all.logged.filter((line) => line.startsWith('changes of nodes cannot be reported'))).toHaveLength(1);
  });
});

describe('a node that becomes something else', () => {
  const operator = nodeWith('compute-1', set('/metadata/labels/node-type', 'operator'));
  const pods = ['e', 'b', 'a', 'd', 'c', 'f', 'g'].map((name) => ({ namespace: 'osmo-workflows', name }));

  it('is reported with the workflow pods that run there: five by name, then a count', async () => {
    const others = [{ namespace: 'kube-system', name: 'proxy' }];
    const { events, counted, asked } = await told(operator, nodeWith('compute-1'), { pods: [...pods, ...others] });
    expect(counted).toContain('type-changed');
    expect(asked).toEqual(['/api/v1/pods spec.nodeName=compute-1,status.phase!=Succeeded,status.phase!=Failed']);
    expect(events.find(({ reason }) => reason === 'NodeTypeChanged')?.message).toMatch(
      /^this node was compute and is an operator node; workflow pods run there: osmo-workflows\/a, osmo-workflows\/b, osmo-workflows\/c, osmo-workflows\/d, osmo-workflows\/e and 2 more\. .*kubectl drain compute-1/,
    );
  });

  it('is not where none runs there, or pods may not be listed', async () => {
    expect((await told(operator, nodeWith('compute-1'))).counted).not.toContain('type-changed');
    const blind = await told(operator, nodeWith('compute-1'), { pods, searchPods: false });
    expect(blind.counted).not.toContain('type-changed');
    expect(blind.asked).toEqual([]);
  });
});

describe('a node that gets the mark', () => {
  const old = set('/metadata/labels/nvidia.com~1cuda.driver-version.full', '535.104.05');
  const mark: Operation = { op: 'add', path: '/metadata/labels/osmo-admission~1quarantined', value: 'violated' };

  it('is reported with its reason and the workflow pods that run there', async () => {
    const pods = [{ namespace: 'osmo-workflows', name: 'train' }];
    for (const before of [nodeWith('gpu-1', old), undefined]) {
      const { events, counted } = await told(nodeWith('gpu-1', old, mark), before, { pods });
      expect(counted).toEqual(['quarantined']);
      expect(events[0]?.reason).toBe('NodeQuarantined');
      expect(events[0]?.message).toMatch(
        /^new workflow pods stay off this node: driver: has 535\.104\.05, needs 535\.216\.03.*; workflow pods run there: osmo-workflows\/train\./,
      );
    }
  });

  it('is reported without pods too, once, and not while quarantine is off', async () => {
    const marked = nodeWith('gpu-1', old, mark);
    expect((await told(marked, nodeWith('gpu-1', old))).counted).toEqual(['quarantined']);
    expect((await told(nodeWith('gpu-1', old, mark, kubelet('v1.40.0')), marked)).counted).toEqual([]);
    const off = { rules: { 'node-quarantine': { enforcement: 'off' } } };
    expect((await told(marked, nodeWith('gpu-1', old), off)).counted).toEqual([]);
  });
});

it('stops without telling what is left', async () => {
  const all = world();
  all.reports.changed(nodeWith('compute-1', kubelet('v1.29.1')), nodeWith('compute-1'), '1');
  await all.reports.stop();
  expect(all.events).toEqual([]);
});
