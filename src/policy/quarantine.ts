import { conformanceFacts, conformanceId, conformanceSettings, controlPlaneCeiling } from './facts/conformance.ts';
import type { Fact } from './facts/fact.ts';
import type { Reason } from './facts/reasons.ts';
import type { ConformanceSettings } from './facts/settings.ts';
import { label } from './kube/labels.ts';
import type { Requirement } from './kube/node-selector.ts';
import { markLabel, type Node } from './model/node.ts';
import type { CompiledPolicy } from './model/policy.ts';
import { typeOf } from './model/view.ts';

/*
 * Quarantine by label. A node that violates a fact under `quarantine`, or still owes one that is awaited, bears the mark, and every workflow
 * pod stays off it by its node affinity. A label, no taint: a taint would starve the very pods (driver, feature discovery) that deliver the
 * facts, and kubelets check affinity also for pods that skip the scheduler.
 */

/** What the webhook itself keeps on a node. */
export interface Marks {
  /** `violated` or `awaited`; undefined for none. Whatever somebody else writes there is kept as it is until it is set right. */
  readonly mark: string | undefined;
  /** The type as which the node has met every quarantine fact. */
  readonly verified: string | undefined;
}

export const quarantineId = 'node-quarantine';

/** The clause of the exclusion that keeps a workflow pod off marked nodes. */
export const quarantineClause: Requirement = { key: markLabel, operator: 'DoesNotExist', values: [] };

/** On: the rule is enforced, after the preset. */
export function isQuarantineOn(policy: CompiledPolicy): boolean {
  return policy.enforcementOf(quarantineId, '') === 'enforce';
}

export const unmarked: Marks = { mark: undefined, verified: undefined };

export function sameMarks(a: Marks, b: Marks): boolean {
  return a.mark === b.mark && a.verified === b.verified;
}

export function marksOf(node: Node): Marks {
  return { mark: label(node.labels, markLabel), verified: node.verified };
}

/** What the annotation says of a node of this type. */
export function verifiedAs(node: Node, policy: CompiledPolicy): string {
  return typeOf(node, policy) ?? 'untyped';
}

/** Verified as what it is now: as another type it was, it is judged anew. */
export function isVerified(node: Node, policy: CompiledPolicy): boolean {
  return node.verified === verifiedAs(node, policy);
}

export type Standing = 'meets' | 'violates' | 'unknown';

/** How a node stands to the facts under `quarantine`: it meets where none is violated and each that can be violated is met, none at all too. */
export function quarantineStanding(node: Node, policy: CompiledPolicy): Standing {
  const facts = quarantineFacts(node, policy);
  if (facts.some(({ verdict }) => verdict === 'violates')) return 'violates';
  return facts.some(({ reason, verdict }) => verdict === 'unknown' && canViolate(reason, conformanceSettings(policy)))
    ? 'unknown'
    : 'meets';
}

/** Whether a node may get the mark: a control-plane node is answered with a warning at most. One that it has, it keeps until its facts meet. */
function isMarkable(node: Node, policy: CompiledPolicy): boolean {
  return controlPlaneCeiling(node, policy) === undefined;
}

/** The facts that a node is quarantined for. */
export function quarantineFacts(node: Node, policy: CompiledPolicy): readonly Fact[] {
  return conformanceFacts(node, policy).filter(
    ({ reason }) => policy.enforcementOf(conformanceId, reason) === 'quarantine',
  );
}

/** CUDA without a toolkit label and JetPack without a label can show that a node meets, never that it violates. */
export function canViolate(reason: Reason, { cuda, jetpack }: ConformanceSettings): boolean {
  if (reason === 'cuda') return cuda.toolkitLabel !== '';
  return reason !== 'jetpack' || jetpack.label !== '' || jetpack.l4tLabel !== '';
}

/** True while a fact that the policy awaits is not known of the node. */
export function owesAwaited(node: Node, policy: CompiledPolicy, awaited: readonly Reason[]): boolean {
  return quarantineFacts(node, policy).some(({ reason, verdict }) => verdict === 'unknown' && awaited.includes(reason));
}

/** Marks of a node that registers, from its facts alone: whatever its kubelet wrote there does not count. */
export function marksAtCreate(node: Node, policy: CompiledPolicy, awaited: readonly Reason[]): Marks {
  const standing = quarantineStanding(node, policy);
  if (standing === 'violates') return isMarkable(node, policy) ? { mark: 'violated', verified: undefined } : unmarked;
  if (standing === 'meets') return { mark: undefined, verified: verifiedAs(node, policy) };
  const owes = isMarkable(node, policy) && owesAwaited(node, policy, awaited);
  return { mark: owes ? 'awaited' : undefined, verified: undefined };
}

/** Marks of a node that changes: those that it had, until its facts meet. Whatever the writer wrote there does not count. */
export function marksAtUpdate(node: Node, old: Node, policy: CompiledPolicy): Marks {
  return quarantineStanding(node, policy) === 'meets'
    ? { mark: undefined, verified: verifiedAs(node, policy) }
    : marksOf(old);
}

export interface ReconcileInput {
  readonly node: Node;
  readonly policy: CompiledPolicy;
  readonly awaited: readonly Reason[];
  readonly awaitForMs: number;
  /** When quarantine was switched on: a node that was there before is reported, never marked. */
  readonly onSinceMs: number;
  readonly nowMs: number;
}

/** Marks that a node should have, seen from outside any request: what admission missed, facts that came late, and times. */
export function marksDue(input: ReconcileInput): Marks {
  const { node, policy, awaited, awaitForMs, onSinceMs, nowMs } = input;
  const marks = marksOf(node);
  const standing = quarantineStanding(node, policy);
  if (standing === 'meets') return { mark: undefined, verified: verifiedAs(node, policy) };
  if (isVerified(node, policy)) return { mark: undefined, verified: marks.verified };
  const isNew = isMarkable(node, policy) && node.createdAtMs !== undefined && node.createdAtMs >= onSinceMs;
  if (standing === 'violates') {
    return { ...marks, mark: isNew || marks.mark !== undefined ? 'violated' : undefined };
  }
  // Unknown never lifts what was violated.
  if (marks.mark === 'violated') return marks;
  const isWaiting = nowMs < awaitedUntilMs(node, awaitForMs, nowMs);
  const owes = isWaiting && owesAwaited(node, policy, awaited) && (isNew || marks.mark !== undefined);
  return { ...marks, mark: owes ? 'awaited' : undefined };
}

/** When a node that owes what is awaited bears the mark no longer. */
export function awaitedUntilMs(node: Node, awaitForMs: number, nowMs: number): number {
  return (node.createdAtMs ?? nowMs) + awaitForMs;
}
