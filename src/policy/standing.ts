import { atMost } from './enforcement.ts';
import { exemptionFor } from './exemptions.ts';
import { conformanceFacts, conformanceId, controlPlaneCeiling } from './facts/conformance.ts';
import type { Fact } from './facts/fact.ts';
import type { Enforcement } from './model/finding.ts';
import type { Node } from './model/node.ts';
import type { Workload } from './model/placement.ts';
import type { CompiledPolicy, Exemption } from './model/policy.ts';
import { isControlPlane, typeOf } from './model/view.ts';
import { openAlternative } from './placement/constraints.ts';
import { exclusionOf } from './placement/place.ts';
import { isVerified, marksOf, quarantineId } from './quarantine.ts';
import { isWorkflowPod } from './workflow-pod.ts';

/*
 * How a cluster stands: nodes and pods that exist already, held against the policy. Nothing is denied here; it says what would be, were
 * the node to register today.
 */

/** A pod that runs or waits. */
export interface StandingPod {
  readonly pod: Workload;
  /** `Pending` or `Running`. */
  readonly phase: string;
}

/** What stands in a cluster. */
export interface StandingCluster {
  readonly nodes: readonly Node[];
  /** Undefined where nobody could look: nodes from a file. */
  readonly pods: readonly StandingPod[] | undefined;
  /** What could not be read, as `kind/name: what is wrong`. */
  readonly unread: readonly string[];
}

/** A requirement held against a node, with what the policy would do about a violation. */
export interface StandingFact extends Fact {
  readonly enforcement: Enforcement;
}

export interface NodeStanding {
  readonly node: string;
  /** By its label; `untyped` without one, `control-plane` where that is all that is known. */
  readonly type: string;
  /** As it stands: the mark that keeps workflow pods off it (`violated`, `awaited`), or `verified`; empty for neither. */
  readonly quarantine: string;
  /** Reason of the exemption that keeps node-conformance from judging it; empty for none. */
  readonly exempt: string;
  readonly facts: readonly StandingFact[];
}

/** Holds one node against every requirement that applies to it. */
export function nodeStanding(node: Node, policy: CompiledPolicy, nowMs: number): NodeStanding {
  const type = typeOf(node, policy);
  const ceiling = controlPlaneCeiling(node, policy);
  return {
    node: node.name,
    type: type ?? (isControlPlane(node, policy) ? 'control-plane' : 'untyped'),
    quarantine: marksOf(node).mark ?? (isVerified(node, policy) ? 'verified' : ''),
    exempt: nodeExemption(conformanceId, node, policy, nowMs)?.reason ?? '',
    facts: conformanceFacts(node, policy)
      .map((fact) => ({ ...fact, enforcement: atMost(policy.enforcementOf(conformanceId, fact.reason), ceiling) }))
      .filter(({ enforcement }) => enforcement !== 'off'),
  };
}

/** Whether the node would be refused or marked: what makes a review of the cluster fail. */
export function isNonConforming({ exempt, facts }: NodeStanding): boolean {
  return (
    exempt === '' &&
    facts.some(
      ({ verdict, enforcement }) =>
        verdict === 'violates' && (enforcement === 'enforce' || enforcement === 'quarantine'),
    )
  );
}

/** Whether the policy exempts a node, by its name, from quarantine. */
export function isQuarantineExempt(node: Node, policy: CompiledPolicy, nowMs: number): boolean {
  return nodeExemption(quarantineId, node, policy, nowMs) !== undefined;
}

/** Whether a workflow pod leaves operator nodes open: it was made before the webhook, or past it. */
export function lacksExclusion(pod: Workload, policy: CompiledPolicy, nowMs: number): boolean {
  if (!isWorkflowPod(pod, policy)) return false;
  const exclusion = exclusionOf(policy);
  if (exclusion === undefined) return false;
  if (exemptionFor('placement', nobody, { kind: 'pod', pod, old: undefined }, policy, nowMs) !== undefined)
    return false;
  return openAlternative(pod.placement, exclusion) !== undefined;
}

function nodeExemption(rule: string, node: Node, policy: CompiledPolicy, nowMs: number): Exemption | undefined {
  return exemptionFor(rule, nobody, { kind: 'node', node, old: undefined }, policy, nowMs);
}

/** What stands there has no requester. */
export const nobody = { requester: { username: '', groups: [] } };
