import type { ApiAnswer, SendOptions } from '../../cluster/api-client.ts';
import { type ControlPlane, kwokAnnotation, type Said } from '../../cluster/control-plane.ts';
import { eventually } from '../../cluster/wait.ts';
import type { KubeObject } from '../../support/fixtures.ts';
import { nodeOf } from './nodes.ts';

/* Who tries to get a workflow pod onto an operator node, and what they are told. */

export type User = NonNullable<SendOptions['as']>;

/** May write pods and what makes pods, in every namespace that the tests use. */
export const author: User = { user: 'author', groups: ['system:authenticated'] };
/** May bind pods, and nothing else. */
export const binder: User = { user: 'binder', groups: ['system:authenticated'] };
export const workflows = 'osmo-workflows';
export const workflowLabels = { 'osmo.workflow_uuid': 'w-1', 'osmo.task_uuid': 't-1' };
/** Tolerates the operator taint; a taint that nobody has. */
export const toOps = { key: 'ops', operator: 'Exists', effect: 'NoSchedule' };
export const harmless = { key: 'example.com/team', operator: 'Exists', effect: 'NoSchedule' };
export const gate = { schedulingGates: [{ name: 'example.com/wait' }] };
/** No scheduler of that name runs: the pod waits for whoever binds it. */
export const unscheduled = { schedulerName: 'nobody' };

export const contentTypes = {
  merge: { contentType: 'application/merge-patch+json' },
  json: { contentType: 'application/json-patch+json' },
  strategic: { contentType: 'application/strategic-merge-patch+json' },
} as const;

export const podsOf = (namespace = workflows): string => `/api/v1/namespaces/${namespace}/pods`;

export function podOf(name: string, spec: object = {}, metadata: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: workflows, ...metadata },
    spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
  };
}

/** A compute node, an operator node with label and taint, and rights for these users. @param authors more users with the author's rights. */
export async function prepareWays(plane: ControlPlane, authors: readonly string[] = []): Promise<void> {
  const writers = [author.user, ...authors];
  await plane.apply(
    ['apply', '-f', '-'],
    [
      role('author', [
        { apiGroups: ['', 'apps', 'batch'], resources: ['*'], verbs: ['get', 'create', 'update', 'patch', 'delete'] },
      ]),
      role('binder', [{ apiGroups: [''], resources: ['pods/binding', 'bindings'], verbs: ['create'] }]),
      ...[workflows, 'default', 'kube-system'].flatMap((namespace) => [
        give('author', writers, namespace),
        give('binder', [binder.user], namespace),
      ]),
    ],
  );
  await addNode(plane, 'compute-a', 'compute');
  await addNode(plane, 'ops-1', 'operator', [{ key: 'ops', value: 'true', effect: 'NoSchedule' }]);
}

/** A node that kwok keeps Ready; resolves when the scheduler may use it. */
export async function addNode(
  plane: ControlPlane,
  name: string,
  type: 'operator' | 'compute',
  taints: readonly object[] = [],
): Promise<void> {
  const node = nodeOf(name, type);
  const { code, body } = await plane.api.send('POST', '/api/v1/nodes', {
    ...node,
    metadata: {
      ...Object(node.metadata),
      labels: { ...Object(Object(node.metadata).labels), 'topology.kubernetes.io/zone': 'z-1' },
      annotations: kwokAnnotation,
    },
    spec: { taints },
  });
  if (code !== 201) throw new Error(body.message);
  await eventually(
    `${name} is Ready`,
    async () => !JSON.stringify((await plane.api.send('GET', `/api/v1/nodes/${name}`)).body).includes('not-ready'),
  );
}

function role(name: string, rules: readonly object[]): object {
  return { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules };
}

function give(name: string, users: readonly string[], namespace: string): object {
  const apiGroup = 'rbac.authorization.k8s.io';
  return {
    ...{ apiVersion: `${apiGroup}/v1`, kind: 'RoleBinding', metadata: { name, namespace } },
    roleRef: { apiGroup, kind: 'ClusterRole', name },
    subjects: users.map((user) => ({ apiGroup, kind: 'User', name: user })),
  };
}

/** What somebody was told: `admitted`, the ids of our findings, or the words of whoever else refused. */
export function verdict(said: ApiAnswer | Said): string {
  const [ok, text] =
    'stderr' in said ? [said.code === 0, said.stderr] : [said.code < 300, String(said.body.message ?? '')];
  if (ok) return 'admitted';
  if (!text.includes('.osmo-admission" denied the request')) return text;
  return [...text.matchAll(/\(([a-z-]+\/[a-z-]+)\)/g)].map(([, id]) => id).join(', ');
}

/** A pod as it is stored. */
// biome-ignore lint/suspicious/noExplicitAny: an object of the API, read by tests.
export async function storedPod(plane: ControlPlane, name: string, namespace = workflows): Promise<any> {
  return (await plane.api.send('GET', `${podsOf(namespace)}/${name}`)).body;
}

/** Whether a stored pod bears the exclusion of operator nodes in each of its terms. */
export function isExcluded(pod: KubeObject): boolean {
  const affinity = Object(pod.spec).affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const terms: readonly object[] = affinity?.nodeSelectorTerms ?? [];
  const clause = JSON.stringify({ key: 'node-type', operator: 'NotIn', values: ['operator'] });
  return terms.length > 0 && terms.every((term) => JSON.stringify(term).includes(clause));
}

/** Where the scheduler put a pod; resolves when it has. */
export async function nodeOfPod(plane: ControlPlane, name: string, namespace = workflows): Promise<string> {
  let node = '';
  await eventually(`${namespace}/${name} is bound`, async () => {
    node = (await storedPod(plane, name, namespace)).spec.nodeName ?? '';
    return node !== '';
  });
  return node;
}
