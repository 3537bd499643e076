import type { SendOptions } from '../../cluster/api-client.ts';
import { fixtureNode, type KubeObject } from '../../support/fixtures.ts';
import { apply } from '../../support/json-patch.ts';
import { kubeletOf } from './nodes.ts';
import { collectionOf, inPlace, templateKinds, templateOf, withTemplate } from './templates.ts';
import { gate, podOf, podsOf, unscheduled, workflowLabels } from './ways.ts';

/* Requests of every kind that touches what the rules are about, and by which of our webhooks each is judged. */

/** A pod whose namespace is that of the request. */
const pod = (metadata: object, spec: object = {}): KubeObject =>
  podOf('', spec, { name: undefined, namespace: undefined, ...metadata });
const node = (name: string): KubeObject =>
  apply(fixtureNode('compute-1'), [{ op: 'replace', path: '/metadata/name', value: name }]) as KubeObject;

export interface Row {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly options?: SendOptions;
  /** First segment of the webhooks that judge it; undefined: none of ours does. */
  readonly by: string | undefined;
  /** Whether a mutating webhook sees it, too; left out: where one of ours judges it. */
  readonly mutated?: boolean;
  /** Made on the way to a later row; the others are dry runs. */
  readonly real?: boolean;
}

const create = (what: string, path: string, body: unknown, by: string | undefined, more: Partial<Row> = {}): Row => ({
  ...{ what, method: 'POST', path, body, by },
  ...more,
});
const merge = (what: string, path: string, body: unknown, by?: string, as?: SendOptions['as']): Row => ({
  ...{ what, method: 'PATCH', path, body, by },
  options: { contentType: 'application/merge-patch+json', ...(as !== undefined && { as }) },
});
const taint = (key: string): object => ({ spec: { taints: [{ key, effect: 'NoSchedule' }] } });
const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'x' };

/** `by` is what a policy of defaults asks for. */
export const rows: readonly Row[] = [
  create('a pod of a workflow namespace', podsOf('osmo-workflows'), pod({ name: 'w' }, gate), 'pods', {
    real: true,
  }),
  create('one with the workflow labels', podsOf('osmo-workflows'), pod({ name: 'l', labels: workflowLabels }), 'pods'),
  create('one with a generateName', podsOf('osmo-workflows'), pod({ generateName: 'g-' }), 'pods'),
  create('one that a cluster admin makes', podsOf('osmo-workflows'), pod({ name: 'u' }), 'pods', {
    options: { as: { user: 'root', groups: ['system:masters'] } },
  }),
  create(
    'a pod with the workflow labels elsewhere',
    podsOf('default'),
    pod({ name: 'l', labels: workflowLabels }),
    'pods-elsewhere',
  ),
  create(
    'one in an exempt namespace',
    podsOf('kube-system'),
    pod({ name: 'l', labels: workflowLabels }),
    'pods-elsewhere',
  ),
  create(
    'a pod with one of the labels elsewhere',
    podsOf('default'),
    pod({ name: 'h', labels: { 'osmo.task_uuid': 'b' } }),
    undefined,
  ),
  create('any other pod', podsOf('default'), pod({ name: 'o' }), undefined),
  create(
    'a pod of the webhook’s own namespace',
    podsOf('osmo-admission'),
    pod({ name: 's', labels: workflowLabels }, restricted()),
    undefined,
  ),
  create('a node that an admin makes', '/api/v1/nodes', node('admin-made'), 'nodes', { real: true }),
  create('a node that its kubelet registers', '/api/v1/nodes', node('compute-9'), 'nodes', {
    real: true,
    options: { as: kubeletOf('compute-9') },
  }),
  merge('a label on a node', '/api/v1/nodes/admin-made', { metadata: { labels: { a: 'b' } } }, 'nodes'),
  merge('a label through the status', '/api/v1/nodes/admin-made/status', { metadata: { labels: { a: 'b' } } }, 'nodes'),
  { ...merge('a taint on a node', '/api/v1/nodes/admin-made', taint('ops'), 'nodes'), mutated: false },
  merge('a taint of the node lifecycle', '/api/v1/nodes/admin-made', taint('node.kubernetes.io/unreachable')),
  merge('a cordon', '/api/v1/nodes/admin-made', { spec: { unschedulable: true } }),
  merge('a heartbeat', '/api/v1/nodes/admin-made/status', { status: { conditions: [ready] } }),
  merge(
    'a heartbeat of its kubelet',
    '/api/v1/nodes/compute-9/status',
    { status: { conditions: [ready] } },
    undefined,
    kubeletOf('compute-9'),
  ),
  merge('a label on a workflow pod', `${podsOf('osmo-workflows')}/w`, { metadata: { labels: { a: 'b' } } }),
  merge('a status of a workflow pod', `${podsOf('osmo-workflows')}/w/status`, { status: { message: 'x' } }),
  create(
    'a Namespace',
    '/api/v1/namespaces',
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } },
    undefined,
  ),
  // An exempt namespace is outside like any other, and no gap.
  ...inNamespace('osmo-workflows', ''),
  ...inNamespace('kube-system', '-elsewhere'),
];

/** Of a namespace: updates of its pods, their status, both paths of their Bindings, and every kind that makes pods. */
function inNamespace(namespace: string, suffix: string): readonly Row[] {
  const [pods, bindings, workloads] = ['pods', 'bindings', 'workloads'].map((name) => `${name}${suffix}`);
  const where = ` in ${namespace}`;
  const binding = (name: string, labels: object = {}): object => ({
    ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace, labels } },
    target: { apiVersion: 'v1', kind: 'Node', name: 'admin-made' },
  });
  const forged = { 'osmo.workflow_uuid': 'forged' };
  const made = (name: string, spec: object): Row =>
    create(`a pod ${name}${where}`, podsOf(namespace), pod({ name, labels: workflowLabels }, spec), pods, {
      real: true,
    });
  const gatedPod = `${podsOf(namespace)}/gated`;
  const note = { metadata: { annotations: { 'example.com/note': 'x' } } };
  const nowhere = { nodeSelector: { 'kubernetes.io/hostname': 'nowhere' } };
  const judgedOnly = { mutated: false };
  return [
    made('gated', gate),
    made('waiting', unscheduled),
    merge(`a selector on a gated pod${where}`, gatedPod, { spec: { nodeSelector: { a: 'b' } } }, pods),
    merge(`another label value${where}`, gatedPod, { metadata: { labels: { 'osmo.task_uuid': 'c' } } }),
    {
      ...merge(`a label taken off${where}`, gatedPod, { metadata: { labels: { 'osmo.task_uuid': null } } }, pods),
      ...judgedOnly,
    },
    {
      ...merge(
        `a label taken off through the status${where}`,
        `${gatedPod}/status`,
        { metadata: { labels: { 'osmo.task_uuid': null } } },
        pods,
      ),
      ...judgedOnly,
    },
    merge(`another annotation${where}`, `${gatedPod}/status`, note),
    merge(`a status${where}`, `${gatedPod}/status`, { status: { message: 'x' } }),
    create(`a Binding${where}`, `${podsOf(namespace)}/waiting/binding`, binding('waiting'), bindings, judgedOnly),
    create(
      `a Binding by the other path${where}`,
      `/api/v1/namespaces/${namespace}/bindings`,
      binding('waiting'),
      bindings,
      judgedOnly,
    ),
    create(
      `a Binding with our keys${where}`,
      `${podsOf(namespace)}/waiting/binding`,
      binding('waiting', forged),
      bindings,
    ),
    create(
      `one by the other path${where}`,
      `/api/v1/namespaces/${namespace}/bindings`,
      binding('waiting', forged),
      bindings,
    ),
    ...Object.keys(templateKinds).flatMap((kind): readonly Row[] => {
      const metadata = { name: 'covered', namespace };
      const path = collectionOf(kind, namespace);
      const object = withTemplate(kind, templateOf(nowhere, workflowLabels), metadata);
      const moved = inPlace(kind, { spec: { nodeSelector: { 'kubernetes.io/hostname': 'elsewhere' } } });
      return [
        create(`a ${kind}${where}`, path, object, workloads, { ...judgedOnly, real: true }),
        { ...merge(`a template of a ${kind}${where}`, `${path}/covered`, moved, workloads), ...judgedOnly },
        merge(`a label of a ${kind}${where}`, `${path}/covered`, { metadata: { labels: { a: 'b' } } }),
      ];
    }),
  ];
}

/** What Pod Security "restricted" wants of a pod. */
function restricted(): object {
  const securityContext = {
    ...{ runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  return { containers: [{ name: 'c', image: 'x', securityContext }] };
}
