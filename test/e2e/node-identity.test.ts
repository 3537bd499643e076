import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { ApiAnswer, SendOptions } from '../cluster/api-client.ts';
import { type ControlPlane, kwokAnnotation } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { kubeletOf, nodeOf } from './support/nodes.ts';

/* Who may say what a node is for, by every verb that writes a node, on a real API server with NodeRestriction. */

type User = NonNullable<SendOptions['as']>;

const kubelet = kubeletOf('node-a');
const alice: User = { user: 'alice', groups: ['system:authenticated'] };
const autoscaler: User = { user: 'system:serviceaccount:kube-system:autoscaler', groups: ['system:serviceaccounts'] };
const nodeController: User = { user: 'system:serviceaccount:kube-system:node-controller', groups: [] };
const admin: User = { user: 'root', groups: ['system:masters'] };

let plane: ControlPlane;
let webhook: Installation;

const policy = (settings: object = {}): string =>
  stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    rules: { 'node-identity': settings },
  });

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: policy() });
  await plane.apply(
    ['apply', '-f', '-'],
    [
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'node-writer' },
        rules: [{ apiGroups: [''], resources: ['nodes', 'nodes/status'], verbs: ['*'] }],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'node-writers' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'node-writer' },
        subjects: [alice, autoscaler, nodeController].map(({ user }) => ({
          apiGroup: 'rbac.authorization.k8s.io',
          kind: 'User',
          name: user,
        })),
      },
    ],
  );
  const kept = { ...nodeOf('node-a', 'compute') };
  const body = { ...kept, metadata: { ...Object(kept.metadata), annotations: kwokAnnotation } };
  const created = await plane.api.send('POST', '/api/v1/nodes', body, { as: kubelet });
  expect(created.code).toBe(201);
  // Settled: a taint of the node lifecycle between reading and writing would make a kubelet's PUT one that changes taints.
  let version = '';
  await eventually('nobody else writes the node', async () => {
    const before = version;
    const { metadata, spec } = await stored();
    version = String(metadata.resourceVersion);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    return version === before && !JSON.stringify(spec).includes('not-ready');
  });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** The ways to write a node, each as a dry run. */
type Write = (path: string, change: (node: Stored) => Stored, as: User) => Promise<ApiAnswer>;
interface Stored {
  readonly metadata: { readonly labels: Readonly<Record<string, string>>; readonly [key: string]: unknown };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

const stored = async (): Promise<Stored> => (await plane.api.send('GET', '/api/v1/nodes/node-a')).body;
const writes: Readonly<Record<string, Write>> = {
  PUT: async (path, change, as) => {
    let answer = await plane.api.send('PUT', `${path}?dryRun=All`, change(await stored()), { as });
    // Somebody else wrote the node between reading and writing.
    while (answer.code === 409)
      answer = await plane.api.send('PUT', `${path}?dryRun=All`, change(await stored()), { as });
    return answer;
  },
  PATCH: async (path, change, as) => {
    const { metadata, spec } = change(await stored());
    const body = {
      metadata: { labels: metadata.labels },
      spec: { taints: spec.taints, unschedulable: spec.unschedulable },
    };
    return plane.api.send('PATCH', `${path}?dryRun=All`, body, { as, contentType: 'application/merge-patch+json' });
  },
  apply: async (path, change, as) => {
    const { metadata, spec } = change(await stored());
    const body = {
      ...{ apiVersion: 'v1', kind: 'Node' },
      metadata: { name: 'node-a', labels: metadata.labels },
      ...(spec.taints !== undefined && { spec: { taints: spec.taints } }),
    };
    const contentType = 'application/apply-patch+yaml';
    return plane.api.send('PATCH', `${path}?dryRun=All&fieldManager=test&force=true`, body, { as, contentType });
  },
};

const setType =
  (value: string) =>
  (node: Stored): Stored => ({
    ...node,
    metadata: { ...node.metadata, labels: { ...node.metadata.labels, 'node-type': value } },
  });
const setTaint =
  (key: string, effect = 'NoSchedule') =>
  (node: Stored): Stored => ({
    ...node,
    spec: { ...node.spec, taints: [...((node.spec.taints as object[] | undefined) ?? []), { key, effect }] },
  });

const node = '/api/v1/nodes/node-a';

async function use(settings: object): Promise<void> {
  webhook.writePolicy(policy(settings));
  const wanted = settings === strict ? 403 : 200;
  await eventually(
    'the policy is in force',
    async () => (await writes.PUT?.(node, setType('gpu'), alice))?.code === wanted,
  );
}
const strict = { others: 'enforce' };

describe('by default', () => {
  for (const [verb, write] of Object.entries(writes)) {
    for (const path of [node, `${node}/status`]) {
      const what = `${verb} of ${path.endsWith('status') ? 'nodes/status' : 'nodes'}`;

      it(`${what}: a kubelet never changes its type, and its request passes, as that of a k3s agent that starts again`, async () => {
        const before = (await plane.api.send('GET', node)).body.metadata.labels['node-type'];
        const { code, body } = await write(path, setType(before === 'operator' ? 'jetson' : 'operator'), kubelet);
        expect(code).toBe(200);
        expect(body.metadata.labels['node-type']).toBe(before);
        await eventually('it is recorded', () =>
          webhook
            .records()
            .some(
              ({ user, findings }) =>
                user.username === kubelet.user && findings.some(({ reason }) => reason === 'kubelet-type'),
            ),
        );
      });

      it(`${what}: others are warned, and pass`, async () => {
        for (const as of [alice, autoscaler]) {
          const { code, warnings } = await write(path, setType('gpu'), as);
          expect(code).toBe(200);
          expect(warnings.join()).toContain('(node-identity/other-type)');
        }
      });

      it(`${what}: a writer of the policy is neither`, async () => {
        const { code, warnings } = await write(path, setType('gpu'), admin);
        expect(`${code} ${warnings.join()}`).toBe('200 ');
      });
    }

    it(`${verb} of nodes: an operator taint is warned of, and a registration that goes on by others never fails`, async () => {
      const { code, warnings } = await write(node, (old) => setTaint('ops')(setType('gpu')(old)), autoscaler);
      expect(code).toBe(200);
      expect(warnings.join()).toContain('(node-identity/other-type)');
      expect(warnings.join()).toContain('(node-identity/other-taint)');
    });
  }

  it('a kubelet that asks for operator at registration is admitted and reported', async () => {
    const { code, warnings } = await plane.api.send('POST', '/api/v1/nodes', nodeOf('node-o', 'operator'), {
      as: kubeletOf('node-o'),
    });
    expect(code).toBe(201);
    expect(warnings.join()).toContain('node node-o registers as an operator node (node-identity/kubelet-operator)');
  });
});

describe('under others: enforce', () => {
  beforeAll(() => use(strict));
  for (const [verb, write] of Object.entries(writes)) {
    it(`${verb}: what was warned of is denied, on nodes and nodes/status`, async () => {
      for (const path of [node, `${node}/status`]) {
        const { code, body } = await write(path, setType('gpu'), alice);
        expect(code).toBe(403);
        expect(body.message).toContain('alice is no writer of the policy');
      }
      const { code, body } = await write(node, setTaint('ops'), autoscaler);
      expect(code).toBe(403);
      expect(body.message).toContain('(node-identity/other-taint)');
    });

    it(`${verb}: taints of the node lifecycle, of an autoscaler and of cordon pass`, async () => {
      const allowed: readonly [User, (old: Stored) => Stored][] = [
        [nodeController, setTaint('node.kubernetes.io/unreachable', 'NoExecute')],
        [autoscaler, setTaint('ToBeDeletedByClusterAutoscaler')],
        [alice, (old) => ({ ...old, spec: { ...old.spec, unschedulable: true } })],
      ];
      for (const [as, change] of allowed) expect((await write(node, change, as)).code).toBe(200);
    });
  }

  it('heartbeats of kubelets pass, and none of them reaches the webhook', async () => {
    // One for each request that is judged; mutation makes another.
    const judged = (): number => webhook.records().filter(({ phase }) => phase === 'validate').length;
    const before = judged();
    const status = { conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: String(before) }] };
    const options = { as: kubelet, contentType: 'application/strategic-merge-patch+json' };
    for (let i = 0; i < 20; i++) {
      const { code } = await plane.api.send('PATCH', `${node}/status`, { status }, options);
      expect(code).toBe(200);
    }
    // The same with a label is seen, so that the counter is known to count.
    await plane.api.send('PATCH', `${node}/status`, { metadata: { labels: { seen: 'yes' } } }, options);
    await eventually('the label is recorded', () => judged() > before);
    expect(judged()).toBe(before + 1);
  });
});
