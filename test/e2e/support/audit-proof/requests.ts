import type { SendOptions } from '../../../cluster/api-client.ts';
import type { ControlPlane } from '../../../cluster/control-plane.ts';
import { kubeletOf, nodeOf } from '../nodes.ts';
import { collectionOf, inPlace, templateKinds, templateOf, withTemplate } from '../templates.ts';
import { author, binder, contentTypes, gate, podOf, podsOf, unscheduled, workflowLabels, workflows } from '../ways.ts';

/* Requests of every kind that the webhook judges, and some that it does not, by users of different rights, several at a time. */

/** A request as it was sent and answered. */
export interface Sent {
  readonly auditId: string;
  readonly code: number;
  readonly message: string;
  /** The webhook that must have judged it, at last: `pods.validate`; undefined: none of ours. */
  readonly by: string | undefined;
}

type Send = (
  by: string | undefined,
  method: string,
  path: string,
  body?: unknown,
  options?: SendOptions,
) => Promise<void>;

const stranger = { user: 'stranger', groups: ['system:authenticated'] };
const everything = { tolerations: [{ operator: 'Exists' }] };
const asAuthor = { as: author };
const merge = contentTypes.merge;
const kinds = Object.keys(templateKinds);

/** What one client does, one request after the other; `name` is its own. */
const scripts: readonly ((send: Send, name: string, number: number) => Promise<void>)[] = [
  async (send, name) => {
    const path = `${podsOf()}/${name}`;
    await send('pods.validate', 'POST', podsOf(), podOf(name, gate), asAuthor);
    await send('pods.validate', 'POST', podsOf(), podOf(name, gate), asAuthor);
    await send(undefined, 'PATCH', path, { metadata: { labels: { a: 'b' } } }, { ...merge, ...asAuthor });
    await send('pods.validate', 'PATCH', path, { spec: { schedulingGates: [] } }, { ...merge, ...asAuthor });
    await send(undefined, 'DELETE', path, undefined, asAuthor);
  },
  async (send, name) => {
    await send('pods.validate', 'POST', podsOf(), podOf(name, everything), asAuthor);
    await send('pods.validate', 'POST', `${podsOf()}?dryRun=All`, podOf(name), asAuthor);
    await send('pods.validate', 'POST', podsOf(), podOf('', gate, { name: undefined, generateName: 'g-' }), asAuthor);
    await send(undefined, 'POST', podsOf(), podOf(name), { as: stranger });
  },
  async (send, name) => {
    const elsewhere = { namespace: 'default', labels: workflowLabels };
    await send('pods-elsewhere.validate', 'POST', podsOf('default'), podOf(name, gate, elsewhere), asAuthor);
    await send('pods-elsewhere.validate', 'POST', podsOf('default'), podOf(name, everything, elsewhere), asAuthor);
    await send(undefined, 'POST', podsOf('default'), podOf(`${name}-f`, gate, { namespace: 'default' }), asAuthor);
    const exempt = podOf(name, { ...gate, ...everything }, { namespace: 'kube-system', labels: workflowLabels });
    await send('pods-elsewhere.validate', 'POST', podsOf('kube-system'), exempt);
  },
  async (send, name) => {
    const bind = (node: string): object => ({
      ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace: workflows } },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    });
    await send('pods.validate', 'POST', podsOf(), podOf(name, unscheduled), asAuthor);
    await send('bindings.validate', 'POST', `/api/v1/namespaces/${workflows}/bindings`, bind('ops-1'), { as: binder });
    await send('bindings.validate', 'POST', `${podsOf()}/${name}/binding`, bind('compute-a'), { as: binder });
    await send(undefined, 'DELETE', `${podsOf()}/${name}?gracePeriodSeconds=0`);
  },
  async (send, name, number) => {
    const kind = kinds[number % kinds.length] ?? 'Job';
    const collection = collectionOf(kind, workflows);
    const labelled = withTemplate(kind, templateOf(everything, workflowLabels), { name, namespace: workflows });
    await send('workloads.validate', 'POST', collection, labelled, asAuthor);
    const changed = inPlace(kind, { metadata: { annotations: { a: 'b' } } });
    // The template of a Job does not change.
    if (kind !== 'Job')
      await send('workloads.validate', 'PATCH', `${collection}/${name}`, changed, { ...merge, ...asAuthor });
    await send(undefined, 'DELETE', `${collection}/${name}?propagationPolicy=Background`, undefined, asAuthor);
  },
  async (send, name) => {
    const [path, kubelet] = [`/api/v1/nodes/${name}`, { as: kubeletOf(name) }];
    const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'x' };
    await send('nodes.validate', 'POST', '/api/v1/nodes', nodeOf(name, 'compute'), kubelet);
    await send(undefined, 'PATCH', `${path}/status`, { status: { conditions: [ready] } }, { ...merge, ...kubelet });
    await send(
      'nodes.validate',
      'PATCH',
      path,
      { metadata: { labels: { 'example.com/a': 'b' } } },
      { ...merge, ...kubelet },
    );
    // Put back by mutation: nothing is left to validate.
    await send(
      'nodes.mutate',
      'PATCH',
      path,
      { metadata: { labels: { 'node-type': 'operator' } } },
      { ...merge, ...kubelet },
    );
    await send('nodes.validate', 'PATCH', path, { metadata: { labels: { 'node-type': 'gpu' } } }, merge);
    await send('nodes.validate', 'POST', '/api/v1/nodes', nodeOf(`${name}-old`, 'compute', 'v1.29.0'), {
      as: kubeletOf(`${name}-old`),
    });
    await send(undefined, 'DELETE', path);
  },
];

/**
 * Sends so many requests, some at a time, and calls `halfway` once when half of them are answered; nobody waits for it but the end.
 * @param prefix of the names, which no other run in this cluster may have.
 */
export async function sendMixed(
  { api }: ControlPlane,
  { count, width, prefix, halfway }: { count: number; width: number; prefix: string; halfway?: () => Promise<void> },
): Promise<readonly Sent[]> {
  const sent: Sent[] = [];
  let begun = 0;
  let asked = 0;
  let disturbance: Promise<void> | undefined;
  const send: Send = async (by, method, path, body, options) => {
    if (asked >= count) return;
    asked += 1;
    const { code, body: answer, auditId } = await api.send(method, path, body, options);
    sent.push({ auditId, code, message: String(answer.message ?? ''), by });
    if (sent.length >= count / 2) disturbance ??= halfway?.() ?? Promise.resolve();
  };
  const client = async (): Promise<void> => {
    while (asked < count) {
      const number = begun++;
      await scripts[number % scripts.length]?.(send, `${prefix}-${number}`, Math.floor(number / scripts.length));
    }
  };
  await Promise.all(Array.from({ length: width }, client));
  await disturbance;
  return sent;
}
