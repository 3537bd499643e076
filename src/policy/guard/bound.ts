import { describeTaint } from '../kube/taint.ts';
import { clip } from '../kube/text.ts';
import type { Finding } from '../model/finding.ts';
import type { Node } from '../model/node.ts';
import type { Binding, Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { type Lookups, type NodeLookup, type PodLookup, podKey } from '../model/snapshot.ts';
import { isOperatorNode, operatorTaintOf } from '../model/view.ts';
import type { RuleResult } from '../rule.ts';
import { isWorkflowPod } from '../workflow-pod.ts';
import { guardId } from './guard.ts';

/** spec.nodeName: the scheduler is skipped, and a kubelet runs the pod whatever the node's taints say (NoSchedule). */
export function bound(pod: Workload, policy: CompiledPolicy, { nodes }: Lookups): RuleResult {
  const name = pod.placement.nodeName;
  if (name === undefined) return { findings: [], edits: [], notes: [] };
  return judge(name, nodes.get(name), policy, {
    field: `${pod.path}spec.nodeName`,
    skips: 'a pod with spec.nodeName skips the scheduler',
    fix: 'remove spec.nodeName and let the scheduler choose',
  });
}

/** Whether the target of a Binding needs a look at the pod: on any other node the pod may run, whatever it is. */
export function isTargetInQuestion(lookup: NodeLookup | undefined, policy: CompiledPolicy): boolean {
  if (lookup === undefined || lookup.state === 'offline') return false;
  return lookup.state !== 'found' || isOperatorNode(lookup.node, policy);
}

/**
 * A Binding's target. The API server checks neither selector, nor taints, nor that the node exists. A pod that does not exist counts as a
 * workflow pod: the API server refuses such a Binding anyway, unless the pod is made in that very moment.
 */
export function boundByBinding(binding: Binding, policy: CompiledPolicy, { nodes, pods }: Lookups): RuleResult {
  const nothing: RuleResult = { findings: [], edits: [], notes: [] };
  const lookup = nodes.get(binding.nodeName);
  if (lookup?.state !== 'offline' && !isTargetInQuestion(lookup, policy)) return nothing;
  const words: Words = {
    field: 'target.name',
    skips: 'a Binding skips what keeps the scheduler off it',
    fix: 'bind the pod to another node, or leave it to the scheduler',
  };
  const pod = pods.get(podKey(binding.namespace, binding.name));
  if (pod?.state === 'unknown')
    return { ...nothing, findings: [unknownPod(binding, pod.why, lookup?.state === 'unknown')] };
  if (!isWorkflow(binding, pod, policy)) return nothing;
  return judge(binding.nodeName, lookup, policy, words);
}

function isWorkflow({ namespace }: Binding, pod: PodLookup | undefined, policy: CompiledPolicy): boolean {
  if (policy.workflowNamespaces.has(namespace)) return true;
  return (
    pod?.state === 'absent' || (pod?.state === 'found' && isWorkflowPod({ namespace, labels: pod.pod.labels }, policy))
  );
}

interface Words {
  readonly field: string;
  /** Why the scheduler does not help. */
  readonly skips: string;
  readonly fix: string;
}

function judge(
  name: string,
  lookup: NodeLookup | undefined,
  policy: CompiledPolicy,
  { field, skips, fix }: Words,
): RuleResult {
  const shown = clip(name, 64);
  const base = { rule: guardId, reason: 'bound', field };
  const of = (message: string, brief: string, undecided = false): RuleResult => ({
    findings: [{ ...base, message, short: brief, ...(undecided && { undecided }) }],
    edits: [],
    notes: [],
  });
  if (lookup === undefined || lookup.state === 'offline') {
    return { findings: [], edits: [], notes: [`${field} ${shown} is not judged: no live nodes are given`] };
  }
  if (lookup.state === 'unknown') {
    return of(
      `${field} is ${shown}, and the node could not be looked up (${lookup.why}), so nobody can say whether it is an operator node: try again, or ${fix}`,
      `${field} could not be looked up: ${clip(lookup.why, 40)}`,
      true,
    );
  }
  if (lookup.state === 'absent') {
    return of(
      `${field} is ${shown}, a node that does not exist now, so nobody can say that it will not be an operator node: ${fix}`,
      `${field} ${clip(name, 40)} does not exist`,
    );
  }
  if (!isOperatorNode(lookup.node, policy)) return { findings: [], edits: [], notes: [] };
  return of(
    `${field} is ${shown}, an operator node (${whyOperator(lookup.node, policy)}), and ${skips}: ${fix}`,
    `${field} ${clip(name, 40)} is an operator node`,
  );
}

/**
 * A pod that cannot be looked up, and a node that is in question. Where the node is known to be one that workflow pods stay off, the answer is no
 * until somebody can tell: elsewhere failurePolicy is Ignore, and a look-up can be made slow. Who binds tries again.
 */
function unknownPod({ namespace, name, nodeName }: Binding, why: string, isUndecided: boolean): Finding {
  const shown = clip(`${namespace}/${name}`, 120);
  return {
    rule: guardId,
    reason: 'bound',
    field: 'target.name',
    ...(isUndecided && { undecided: true }),
    message: `target.name is ${clip(nodeName, 64)}, an operator node or one that is not known, and the pod ${shown} could not be looked up (${why}), so nobody can say whether it may be bound there: try again`,
    short: `the pod could not be looked up: ${clip(why, 40)}`,
  };
}

function whyOperator(node: Node, policy: CompiledPolicy): string {
  const { typeLabel } = policy.policy.nodes;
  const taint = operatorTaintOf(node, policy);
  return taint === undefined
    ? `it bears the label ${typeLabel}=${node.labels[typeLabel] ?? ''}`
    : `it bears the operator taint ${describeTaint(taint)}`;
}
