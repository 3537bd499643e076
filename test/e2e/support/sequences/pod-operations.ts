import { boundTo, nameOf } from '../pods.ts';
import { type Operation, workflowNamespace } from './operations.ts';
import * as oracle from './oracle.ts';
import { applyRequest, changed, podOf, podsOf, updateRequest } from './requests.ts';
import { poolNode, type World } from './world.ts';
import type { Writer } from './writer.ts';

export type PodOperation = Extract<Operation, { do: 'create' | 'change' | 'status' | 'bind' | 'delete' }>;

// biome-ignore lint/suspicious/noExplicitAny: objects of the API server, read by their documented shape.
type Raw = any;

/** A pod that the sequence has made. */
export interface Made {
  readonly namespace: string;
  readonly name: string;
  /** By an exempt user. */
  readonly exempt: boolean;
  deleted: boolean;
}

/** What the operations on pods of one sequence share. */
export interface Pods {
  readonly world: World;
  readonly writer: Writer;
  readonly worker: number;
  readonly prefix: string;
  readonly nodes: oracle.Nodes;
  readonly made: Made[];
}

/** Writes a pod, and looks at what is stored then. */
export async function performOnPod(pods: Pods, operation: PodOperation): Promise<void> {
  if (operation.do === 'create') return create(pods, operation);
  const { world, writer, worker, nodes, made } = pods;
  const target = made[operation.pod % Math.max(made.length, 1)];
  if (target === undefined) return;
  const { namespace, name } = target;
  const path = `${podsOf(namespace)}/${name}`;
  const old = await read(pods, target);
  const isExempt = target.exempt && namespace === workflowNamespace;
  switch (operation.do) {
    case 'change': {
      if (old === undefined) return;
      const { as, how, change } = operation;
      const pod = changed(old, change);
      const exempt = as === 'exempt' || isExempt;
      const verdict = oracle.judgeUpdate(old, pod, exempt, nodes);
      const answer = await writer.write(as, '', verdict, updateRequest(old, pod, how));
      if (answer.code === 422 && oracle.isGated(old) && (await passesUnjudged(world, old, operation))) {
        writer.violated('refused', 'an update was refused once it was patched');
      }
      const ungated = oracle.isGated(old) && !oracle.isGated(pod);
      const judged = !exempt && (oracle.isWorkflow(old) || oracle.isWorkflow(pod));
      if (answer.code < 300 && ungated && judged) checkStored(writer, answer.body);
      return;
    }
    case 'status': {
      if (old === undefined) return;
      const pod = changed(old, operation.change);
      const node = boundTo(old) || poolNode(worker, 0);
      const request = { ...updateRequest(old, pod, 'merge'), path: `${path}/status` };
      await writer.write('kubelet', node, oracle.judgeStatus(old, pod), request);
      return;
    }
    case 'bind': {
      const { as, by, node, labels, annotations } = operation;
      const verdict = oracle.judgeBinding(old, node, as === 'exempt' || isExempt, nodes);
      const body = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace, ...(labels && { labels }), ...(annotations && { annotations }) },
        target: { apiVersion: 'v1', kind: 'Node', name: node },
      };
      const at = by === 'bindings' ? `/api/v1/namespaces/${namespace}/bindings` : `${path}/binding`;
      const { code } = await writer.write(as, '', verdict, { method: 'POST', path: at, body });
      if (code < 300) checkKept(writer, old, await read(pods, target));
      return;
    }
    case 'delete': {
      if (target.deleted) return;
      const body = { gracePeriodSeconds: 0 };
      const { code } = await writer.write('author', '', 'admit', { method: 'DELETE', path, body });
      if (code >= 300) return;
      target.deleted = true;
      await world.pods.untilDeleted(namespace, name);
    }
  }
}

async function create(
  { writer, prefix, nodes, made }: Pods,
  { as, how, words }: Extract<PodOperation, { do: 'create' }>,
): Promise<void> {
  const { namespace } = words;
  const name = `${prefix}-${made.length}`;
  const pod = podOf(name, words);
  const path = podsOf(namespace);
  const exempt = as === 'exempt';
  const request =
    how === 'post' ? { method: 'POST', path, body: pod } : applyRequest(pod, `${path}/${name}`, 'creation');
  const { code, body } = await writer.write(as, '', oracle.judgeCreate(pod, exempt, nodes), request);
  // Every pod that is drawn is valid: what makes it invalid is the patch.
  if (code === 422) writer.violated('refused', 'a valid pod was refused once it was patched');
  if (code >= 300) return;
  made.push({ namespace, name, exempt, deleted: false });
  if (!oracle.isWorkflow(pod)) return;
  const note = body.metadata.annotations?.[oracle.exemptedKey];
  if (exempt ? !/^all\.[0-9a-f]{32}$/.test(note) : note !== undefined) {
    writer.violated('stored', `${name} was stored with the note ${note}`);
  }
  if (!exempt) checkStored(writer, body);
}

async function read({ world }: Pods, { namespace, name }: Made): Promise<Raw> {
  const { code, body } = await world.plane.api.send('GET', `${podsOf(namespace)}/${name}`);
  return code === 200 ? body : undefined;
}

/** Whether the API server takes the same change of the same pod where no webhook patches it. */
async function passesUnjudged(
  { plane }: World,
  old: Raw,
  { how, change }: Extract<PodOperation, { do: 'change' }>,
): Promise<boolean> {
  const path = podsOf('default');
  const name = `${old.metadata.name}-twin`;
  const twin = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec: old.spec };
  const { code, body } = await plane.api.send('POST', path, twin);
  if (code !== 201) throw new Error(body.message);
  const { labelled: _, exempted: __, ...rest } = change;
  const request = updateRequest(body, changed(body, rest), how);
  const answer = await plane.api.send(request.method, request.path, request.body, request);
  await plane.api.send('DELETE', `${path}/${name}`, { gracePeriodSeconds: 0 });
  return answer.code < 300;
}

function checkStored(writer: Writer, pod: Raw): void {
  if (oracle.isExemptNamespace(pod.metadata.namespace) || !oracle.canReachOperator(pod)) return;
  const spec = JSON.stringify(pod.spec);
  writer.violated('stored', `${nameOf(pod)} was stored with operator nodes open to it: ${spec}`);
}

/** A Binding's labels and annotations are written over the pod's. */
function checkKept(writer: Writer, old: Raw, pod: Raw): void {
  const kept = (object: Raw): string => {
    const all = { ...object?.metadata.labels, ...object?.metadata.annotations };
    return JSON.stringify(Object.entries(all).filter(([key]) => /^osmo(-admission\/|\.)/.test(key)));
  };
  if (pod === undefined || kept(old) === kept(pod)) return;
  writer.violated('stored', `a Binding changed ${kept(old)} to ${kept(pod)}`);
}
