import { stringify } from 'yaml';
import type { SendOptions } from '../../../cluster/api-client.ts';
import type { Binaries } from '../../../cluster/binaries.ts';
import { type ControlPlane, kwokAnnotation } from '../../../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../../../cluster/installation.ts';
import { eventually } from '../../../cluster/wait.ts';
import { kubeletOf, nodeLike } from '../nodes.ts';
import { createDecisions, type Decisions } from './decisions.ts';
import { type History, startHistory } from './history.ts';
import { type Namespace, nodePool, type Who, workflowNamespace } from './operations.ts';
import { merge, podsOf } from './requests.ts';

/** The cluster that sequences run in: the webhook, the real scheduler, users of different rights, and a pool of nodes for each worker. */
export interface World {
  readonly plane: ControlPlane;
  readonly webhook: Installation;
  readonly decisions: Decisions;
  readonly nodes: History;
  readonly pods: History;
  /** Resolves when a decision has gone by that resourceVersion of nodes, or a later one. */
  untilIndexHas(version: number): Promise<void>;
  /** Resolves when the test's own watch has seen every node up to that resourceVersion, which may be that of a bookmark. */
  untilNodesSeen(version: number): Promise<void>;
  /** Switches rules off, and all others on; resolves when the policy is in force. */
  switchOff(...rules: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export const namespaces: readonly Namespace[] = [workflowNamespace, 'default', 'osmo-test'];

/** So many run at once. */
export const workers = 6;

/** A node that nothing happens to. */
const sentinel = 'sentinel';

export const poolNode = (worker: number, index: number): string => `w${worker}-n${index}`;

/** Who the API server takes them for. @param node whose kubelet is meant. */
export function userOf(who: Who, node: string): NonNullable<SendOptions['as']> {
  return who === 'kubelet' ? kubeletOf(node) : { user: `sequence-${who}` };
}

const exemptUser = userOf('exempt', '').user;

const policyOf = (off: readonly string[]): string =>
  stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    exemptions: [
      { reason: 'cluster components', namespaces: ['kube-system'] },
      { reason: 'OSMO test pods', namespaces: ['osmo-test'] },
      { reason: 'maintenance', users: [exemptUser] },
    ],
    rules: Object.fromEntries(off.map((rule) => [rule, { enforcement: 'off' }])),
  });

export async function startWorld(binaries: Binaries): Promise<World> {
  const plane = await startCluster(binaries);
  try {
    await plane.apply(['apply', '-f', '-'], [...rights(), { ...namespaceOf('osmo-test') }]);
    const webhook = await install(plane, { policy: policyOf([]) });
    const [nodes, pods] = await Promise.all([
      startHistory(plane, '/api/v1/nodes'),
      startHistory(plane, '/api/v1/pods'),
    ]);
    const world = createWorld({ plane, webhook, nodes, pods });
    await preparePool(world);
    await untilExemptionsCount(world);
    return world;
  } catch (error) {
    await plane.close();
    throw error;
  }
}

function createWorld(parts: Pick<World, 'plane' | 'webhook' | 'nodes' | 'pods'>): World {
  const { plane, webhook, nodes, pods } = parts;
  const decisions = createDecisions(plane.folder);
  let policy = policyOf([]);
  let pokes = 0;
  const probe = async (): Promise<void> => {
    await plane.api.send('POST', `${podsOf(workflowNamespace)}?dryRun=All`, bare('probe'));
  };
  return {
    ...parts,
    decisions,
    async untilIndexHas(version) {
      await eventually(`the index has version ${version}`, async () => {
        if (decisions.indexVersion() >= version) return true;
        await probe();
        return decisions.indexVersion() >= version;
      });
    },
    async untilNodesSeen(version) {
      if (nodes.seen() >= version) return;
      pokes += 1;
      // Later than whatever the webhook can have gone by, and in the same watch after all that came before.
      const change = { metadata: { annotations: { 'example.com/poke': String(pokes) } } };
      const { code, body } = await plane.api.send('PATCH', `/api/v1/nodes/${sentinel}`, change, merge);
      if (code !== 200) throw new Error(body.message);
      await nodes.until(Number(body.metadata.resourceVersion));
    },
    async switchOff(...rules) {
      const text = policyOf(rules);
      if (text === policy) return;
      policy = text;
      const before = decisions.policyDigest();
      webhook.writePolicy(text);
      await eventually('the policy is in force', async () => {
        await probe();
        return decisions.policyDigest() !== before;
      });
    },
    async close() {
      nodes.close();
      pods.close();
      await plane.close();
    },
  };
}

export const bare = (name: string, namespace: string = workflowNamespace): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace },
  spec: { containers: [{ name: 'c', image: 'x' }], schedulingGates: [{ name: 'example.com/wait' }] },
});

const namespaceOf = (name: string): object => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });

/** Everybody may read; each may write only what is theirs. */
function rights(): readonly object[] {
  const podWriter = rule(['pods'], ['create', 'patch', 'update', 'delete']);
  const binder = rule(['pods/binding', 'bindings'], ['create']);
  const all: Readonly<Record<Exclude<Who, 'kubelet'>, readonly object[]>> = {
    author: [podWriter],
    binder: [binder],
    'node-admin': [rule(['nodes', 'nodes/status'], ['create', 'patch', 'update', 'delete'])],
    exempt: [podWriter, binder],
  };
  return Object.entries(all).flatMap(([who, rules]) => {
    const name = userOf(who as Who, '').user;
    return [
      { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
      },
    ];
  });
}

const rule = (resources: readonly string[], verbs: readonly string[]): object => ({
  apiGroups: [''],
  resources,
  verbs,
});

/** A node of the guide, of a type, kept Ready by kwok. Every second one of them is in another rack. */
export function nodeObject(name: string, type: string | null): object {
  const like = type === 'gpu' ? 'gpu-1' : 'compute-1';
  return nodeLike(like, name, [
    { op: 'add', path: '/metadata/annotations', value: kwokAnnotation },
    { op: 'add', path: '/metadata/labels/rack', value: /[02468]$/.test(name) ? 'r1' : 'r2' },
    type === null
      ? { op: 'remove', path: '/metadata/labels/node-type' }
      : { op: 'replace', path: '/metadata/labels/node-type', value: type },
  ]);
}

async function preparePool(world: World): Promise<void> {
  const cordoned = { ...nodeObject(sentinel, 'compute'), spec: { unschedulable: true } };
  const { code, body } = await world.plane.api.send('POST', '/api/v1/nodes', cordoned);
  if (code !== 201) throw new Error(body.message);
  await Promise.all(Array.from({ length: workers }, (_, worker) => resetPool(world, worker)));
  await eventually('every node is Ready', async () => {
    const all = await world.plane.api.list('/api/v1/nodes');
    return all.length > workers * nodePool.length && !JSON.stringify(all).includes('node.kubernetes.io/not-ready');
  });
}

/** Makes a worker's nodes what they are when a sequence begins. */
export async function resetPool(world: World, worker: number): Promise<void> {
  const { api } = world.plane;
  const versions = await Promise.all(
    nodePool.map(async ({ type, taints }, index) => {
      const name = poolNode(worker, index);
      const path = `/api/v1/nodes/${name}`;
      const made = await api.send('POST', '/api/v1/nodes', nodeObject(name, type));
      if (made.code !== 201 && made.code !== 409) throw new Error(made.body.message);
      const change = {
        metadata: { labels: { 'node-type': type } },
        spec: { taints: taints.length > 0 ? taints : null },
      };
      const { code, body } = await api.send('PATCH', path, change, merge);
      if (code !== 200) throw new Error(body.message);
      return Number(body.metadata.resourceVersion);
    }),
  );
  const last = Math.max(...versions);
  await Promise.all([world.nodes.until(last), world.untilIndexHas(last)]);
}

/** A pod's exemption counts only if it is a while younger than the webhook configurations. */
async function untilExemptionsCount({ plane }: World): Promise<void> {
  const as = userOf('exempt', '');
  let attempt = 0;
  await eventually('an exemption outlives its request', async () => {
    attempt += 1;
    const path = podsOf(workflowNamespace);
    const name = `exempt-probe-${attempt}`;
    const { body } = await plane.api.send('POST', path, bare(name), { as });
    const tolerations = [...body.spec.tolerations, { operator: 'Exists' }];
    const { code } = await plane.api.send('PATCH', `${path}/${name}?dryRun=All`, { spec: { tolerations } }, merge);
    await plane.api.send('DELETE', `${path}/${name}`, { gracePeriodSeconds: 0 });
    return code === 200;
  });
}
