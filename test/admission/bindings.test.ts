import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Admission, createAdmit } from '../../src/admission/admit.ts';
import { createFixedNodes } from '../../src/cluster/nodes-file.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import type { NoteKeeper } from '../../src/policy/model/notes.ts';
import type { LivePod } from '../../src/policy/model/placement.ts';
import { readNode } from '../../src/policy/model/read-node.ts';
import { readRequest } from '../../src/policy/model/read-request.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import type { NodeSource, PodLookup } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { clusterNodes } from '../support/fixtures.ts';

/* A Binding holds neither a pod's labels nor its spec: what the live pod says is asked for, and only where it matters. */

const notes: NoteKeeper = {
  sign: (text) => createHash('sha256').update(text).digest('hex').slice(0, 32),
  verify: (text, signature) => signature === notes.sign(text),
};
const workflowLabels = { 'osmo.workflow_uuid': 'w', 'osmo.task_uuid': 't' };

interface World {
  readonly pod?: PodLookup;
  readonly policy?: object;
  readonly nodes?: NodeSource;
  readonly phase?: Phase;
  readonly namespace?: string;
  readonly target?: string;
  readonly subResource?: string;
  readonly metadata?: object;
  readonly user?: string;
}

const live = createFixedNodes(
  new Map(clusterNodes().map((value) => [String(Object(value.metadata).name), readNode(value, 'Node')])),
);
const found = (over: Partial<LivePod> = {}): PodLookup => ({
  state: 'found',
  pod: { generateName: undefined, labels: {}, annotations: {}, ...over },
});

async function bind(world: World = {}): Promise<{ admission: Admission; asked: string[]; sync: boolean }> {
  const asked: string[] = [];
  const { namespace = 'osmo-workflows', target = 'operator-1', subResource = 'binding', phase = 'validate' } = world;
  const policy = createPolicyParser({ rules })(
    stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...world.policy }),
    'policy.yaml',
  );
  const nodes = world.nodes ?? live;
  const admit = createAdmit({
    rules,
    policy: () => policy,
    nodes: {
      snapshot: nodes.snapshot,
      lookUp: (name, signal) => {
        asked.push(`node ${name}`);
        return nodes.lookUp(name, signal);
      },
    },
    pods: {
      lookUp: (where, name) => {
        asked.push(`pod ${where}/${name}`);
        return Promise.resolve(world.pod ?? { state: 'absent' });
      },
    },
    notes,
    now: () => 0,
    monotonic: () => 0,
  });
  const object = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'p', namespace, ...world.metadata },
    target: { apiVersion: 'v1', kind: 'Node', name: target },
  };
  const answer = admit(
    phase,
    readRequest({
      uid: 'u',
      operation: 'CREATE',
      kind: { group: '', version: 'v1', kind: 'Binding' },
      resource: { group: '', version: 'v1', resource: subResource === '' ? 'bindings' : 'pods' },
      subResource,
      name: 'p',
      namespace,
      userInfo: { username: world.user ?? 'system:kube-scheduler', groups: [] },
      object,
    }),
    1_000,
  );
  return { admission: await answer, asked, sync: !(answer instanceof Promise) };
}

const denied = ({ admission }: { admission: Admission }): readonly string[] =>
  admission.evaluation.denial === undefined
    ? []
    : admission.evaluation.findings
        .filter(({ enforcement }) => enforcement === 'enforce')
        .map(({ rule, reason }) => `${rule}/${reason}`);

describe('what is looked up for a Binding', () => {
  it('is nothing where the node is none of the operator’s: the answer comes at once', async () => {
    const answer = await bind({ target: 'compute-1' });
    expect([answer.asked, answer.sync, denied(answer)]).toEqual([[], true, []]);
  });

  it('is the pod where the node is an operator node, and the node too where the index lacks it', async () => {
    expect((await bind()).asked).toEqual(['pod osmo-workflows/p']);
    expect((await bind({ target: 'ghost' })).asked).toEqual(['node ghost', 'pod osmo-workflows/p']);
  });

  it('is the node alone where that turns out to be harmless', async () => {
    const [compute] = clusterNodes().filter(({ metadata }) => Object(metadata).name === 'compute-1');
    const nodes: NodeSource = {
      snapshot: live.snapshot,
      lookUp: async () => ({ state: 'found', node: { ...readNode(compute, 'Node'), name: 'late' } }),
    };
    const answer = await bind({ target: 'late', nodes });
    expect([answer.asked, denied(answer)]).toEqual([['node late'], []]);
  });
});

describe.each(['binding', ''])('a Binding by the path %j', (subResource) => {
  it.each([
    ['in a workflow namespace', { pod: found() }, ['operator-node-guard/bound']],
    ['of a pod that does not exist', { pod: { state: 'absent' } }, ['operator-node-guard/bound']],
    [
      'of a workflow pod elsewhere',
      { namespace: 'apps', pod: found({ labels: workflowLabels }) },
      ['operator-node-guard/bound'],
    ],
    ['of any other pod elsewhere', { namespace: 'apps', pod: found() }, []],
    [
      'of a pod that does not exist, elsewhere',
      { namespace: 'apps', pod: { state: 'absent' } },
      ['operator-node-guard/bound'],
    ],
    [
      'of a workflow pod in an exempt namespace',
      { namespace: 'kube-system', pod: found({ labels: workflowLabels }) },
      [],
    ],
    ['to a node that does not exist', { target: 'ghost', pod: found() }, ['operator-node-guard/bound']],
    ['to a compute node', { target: 'compute-1', pod: found() }, []],
  ] satisfies [string, World, string[]][])('%s', async (_what, world, expected) => {
    expect(denied(await bind({ ...world, subResource }))).toEqual(expected);
  });

  it.each([
    ['in a workflow namespace', {}],
    ['elsewhere, where failurePolicy is Ignore', { namespace: 'apps' }],
  ] satisfies [string, World][])(
    'to an operator node is denied where the pod cannot be looked up: %s',
    async (_what, world) => {
      const { admission } = await bind({ ...world, pod: { state: 'unknown', why: 'HTTP 503' }, subResource });
      expect(admission.evaluation.denial?.message).toContain('try again');
    },
  );

  it('is left to failurePolicy where the node cannot be looked up', async () => {
    const nodes: NodeSource = { snapshot: live.snapshot, lookUp: async () => ({ state: 'unknown', why: 'HTTP 503' }) };
    const { admission } = await bind({ target: 'ghost', nodes, pod: found(), subResource });
    expect(admission.record.decision).toBe('error');
    expect(admission.evaluation.undecided).toContain('HTTP 503');
  });
});

describe('the note of an exemption on the live pod', () => {
  const signed = (rules: string, namespace = 'osmo-workflows', name = 'p'): string =>
    `${rules}.${notes.sign(JSON.stringify([namespace, name, rules]))}`;
  const noted = (value: string, over: Partial<LivePod> = {}): PodLookup =>
    found({ annotations: { 'osmo-admission/exempted': value }, ...over });

  it.each([
    ['from every rule', { pod: noted(signed('all')) }],
    ['from this rule', { pod: noted(signed('operator-node-guard,placement')) }],
    [
      'of a pod that was given its name',
      { pod: noted(signed('all', 'osmo-workflows', 'p-*'), { generateName: 'p-' }) },
    ],
  ] satisfies [string, World][])('lets it be bound: %s', async (_what, world) => {
    const { admission } = await bind(world);
    expect(admission.evaluation.denial).toBeUndefined();
    expect(admission.record.exemptions).toEqual([
      { reason: expect.stringContaining('exempt when it was created'), rules: ['operator-node-guard'] },
    ]);
  });

  it.each([
    ['for another rule', { pod: noted(signed('placement')) }],
    ['that nobody signed', { pod: noted('all') }],
    ['with somebody’s signature', { pod: noted(`all.${'0'.repeat(32)}`) }],
    ['with more rules than were signed', { pod: noted(signed('placement').replace('placement', 'all')) }],
    ['that is another pod’s', { pod: noted(signed('all', 'osmo-workflows', 'q')) }],
    ['that is a pod’s of another namespace', { pod: noted(signed('all', 'other')) }],
    ['elsewhere', { namespace: 'apps', pod: noted(signed('all', 'apps'), { labels: workflowLabels }) }],
  ] satisfies [string, World][])('counts for nothing %s', async (_what, world) => {
    expect(denied(await bind(world))).toEqual(['operator-node-guard/bound']);
  });
});

describe('an exemption by podSelector', () => {
  const policy = {
    exemptions: [
      { reason: 'r', namespaces: ['apps'], podSelector: { app: 'x' } },
      {
        reason: 's',
        namespaces: ['osmo-workflows'],
        serviceAccounts: ['kube-system/binder'],
        podSelector: { app: 'x' },
      },
    ],
  };

  it('is held against the live pod’s labels, never the Binding’s', async () => {
    const labels = { ...workflowLabels, app: 'x' };
    const elsewhere = { namespace: 'apps', policy };
    expect(denied(await bind({ ...elsewhere, pod: found({ labels }) }))).toEqual([]);
    const forged = { metadata: { labels: { app: 'x' } }, pod: found({ labels: workflowLabels }) };
    expect(denied(await bind({ ...elsewhere, ...forged }))).toEqual(['operator-node-guard/bound']);
  });

  it('in a workflow namespace counts together with the service account that binds', async () => {
    const pod = found({ labels: { app: 'x' } });
    expect(denied(await bind({ policy, pod, user: 'system:serviceaccount:kube-system:binder' }))).toEqual([]);
    expect(denied(await bind({ policy, pod }))).toEqual(['operator-node-guard/bound']);
  });
});

describe('labels and annotations of a Binding, which the API server writes over the pod’s', () => {
  const metadata = {
    labels: { 'topology.kubernetes.io/zone': 'z', 'osmo.platform': 'x' },
    annotations: { 'osmo-admission/exempted': 'all', note: 'n' },
  };

  it('are stripped where they are OSMO’s or ours, and denied where mutation did not run', async () => {
    const { admission } = await bind({ target: 'compute-1', phase: 'mutate', metadata });
    expect(admission.patch).toEqual([
      { op: 'remove', path: '/metadata/labels/osmo.platform' },
      { op: 'remove', path: '/metadata/annotations/osmo-admission~1exempted' },
    ]);
    expect(denied(await bind({ target: 'compute-1', metadata }))).toEqual(['exemptions/binding-keys']);
  });

  it('pass where they are nobody’s', async () => {
    const topology = { labels: { 'topology.kubernetes.io/zone': 'z' } };
    expect(denied(await bind({ target: 'compute-1', metadata: topology }))).toEqual([]);
  });
});
