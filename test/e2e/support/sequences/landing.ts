import { eventually } from '../../../cluster/wait.ts';
import { isOperator } from '../../../properties/naive-scheduler.ts';
import { boundTo } from '../pods.ts';
import type { AuditedWrite } from './decisions.ts';
import { workflowNamespace } from './operations.ts';
import { isExemptNamespace, isGated, isWorkflow } from './oracle.ts';
import { userOf, type World } from './world.ts';

/** How a pod got its node, if it did. */
export interface Landing {
  readonly bound: boolean;
  /** It was a workflow pod then, and not exempt. */
  readonly workflow: boolean;
  /** It became one by a write that was under way when its binding was judged. */
  readonly raced: boolean;
  /** By the snapshot recorded with the decision, its node was an operator node. */
  readonly violation?: string;
}

const nowhere: Landing = { bound: false, workflow: false, raced: false };

/**
 * Holds the write that gave a pod its node against the decision on it: the API server's audit event names our record, the record the
 * resourceVersion of the nodes it went by, and the test's own history says what the node was then.
 */
export async function landingOf(
  { pods, nodes, decisions, untilNodesSeen }: World,
  { namespace, name, exempt }: { readonly namespace: string; readonly name: string; readonly exempt: boolean },
): Promise<Landing> {
  const states = pods.of(namespace, name);
  const first = states.find(({ object }) => object !== undefined && boundTo(object) !== '');
  if (first?.object === undefined) return nowhere;
  const pod = first.object;
  const node = boundTo(pod);
  const landed = { ...nowhere, bound: true };
  if (!isWorkflow(pod) || isExemptNamespace(namespace)) return landed;
  const write = await bindingOf(decisions, namespace, name, first === states[0]);
  if (write.user === userOf('exempt', '').user || (exempt && namespace === workflowNamespace)) return landed;
  const before = states.slice(0, states.indexOf(first));
  // Behind a gate nothing binds it: labels that came with its end, or before, were there when it was judged.
  const became = before.some(({ object }) => object !== undefined && !isWorkflow(object) && !isGated(object));
  const raced = became && labelledSince(write, decisions.writesOf(namespace, name));
  if (write.recordHash === undefined) {
    if (raced) return { ...landed, raced };
    return { ...landed, workflow: true, violation: `${name} was bound to ${node} without a decision` };
  }
  const { recordHash } = write;
  await eventually('the record is written', () => decisions.record(recordHash) !== undefined);
  const version = Number(decisions.record(recordHash)?.nodes.resourceVersion);
  await untilNodesSeen(version);
  const then = nodes.at('', node, version);
  if (!isOperator(then)) return { ...landed, workflow: true, raced };
  if (raced) return { ...landed, raced };
  return {
    ...landed,
    workflow: true,
    violation: `${name} was bound by ${write.user} to ${node}, an operator node at version ${version}: ${JSON.stringify({ labels: then.metadata.labels, taints: then.spec.taints })}`,
  };
}

/** The audited write that brought spec.nodeName: the creation itself, or a Binding. */
async function bindingOf(
  decisions: World['decisions'],
  namespace: string,
  name: string,
  atCreation: boolean,
): Promise<AuditedWrite> {
  let found: AuditedWrite | undefined;
  await eventually(`the API server’s audit event of how ${name} got its node`, () => {
    found = decisions
      .writesOf(namespace, name)
      .find(({ code, resource }) => code === 201 && (resource === 'pods') === atCreation);
    return found !== undefined;
  });
  if (found === undefined) throw new Error('there is none');
  return found;
}

/** Whether a write of the pod itself was answered only after the binding had been received. */
function labelledSince(binding: AuditedWrite, writes: readonly AuditedWrite[]): boolean {
  return writes.some(
    ({ resource, verb, code, answered }) =>
      resource === 'pods' && verb !== 'create' && code === 200 && answered > binding.received,
  );
}
