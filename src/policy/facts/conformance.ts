import type { Ceiling } from '../model/finding.ts';
import type { Node } from '../model/node.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { isControlPlane } from '../model/view.ts';
import type { Fact } from './fact.ts';
import { factsOf } from './index.ts';
import { type ConformanceSettings, conformanceDefaults } from './settings.ts';

/** Id of the rule whose settings the facts are judged by. */
export const conformanceId = 'node-conformance';

/** Settings of the rule under a policy: what its `compile` returned. */
export function conformanceSettings(policy: CompiledPolicy): ConformanceSettings {
  return policy.settings.get(conformanceId) as ConformanceSettings;
}

/**
 * Facts of a node under a policy, for readers other than registration.
 * @param previous the last Node of that name that was known, if any.
 */
export function conformanceFacts(node: Node, policy: CompiledPolicy, previous?: Node): readonly Fact[] {
  return factsOf(node, policy, conformanceSettings(policy), previous);
}

/** `controlPlaneAtMost` for a control-plane node; undefined where it leaves the enforcement as it is. */
export function controlPlaneCeiling(node: Node, policy: CompiledPolicy): Ceiling | undefined {
  const { controlPlaneAtMost } = conformanceSettings(policy);
  return isControlPlane(node, policy) && controlPlaneAtMost !== 'enforce' ? controlPlaneAtMost : undefined;
}

/** What a node violates and did not before it changed; facts about the change itself (an address) among them. */
export function newViolations(node: Node, before: Node, policy: CompiledPolicy): readonly Fact[] {
  const settings = conformanceSettings(policy);
  const known = new Set(violations(factsOf(before, policy, settings)).map(({ reason }) => reason));
  return violations(factsOf(node, policy, settings, before)).filter(({ reason }) => !known.has(reason));
}

export function violations(facts: readonly Fact[]): readonly Fact[] {
  return facts.filter(({ verdict }) => verdict === 'violates');
}

/** What a requirement asks for, and who asks. */
export function needsText(fact: Fact, node: Node, policy: CompiledPolicy): string {
  return `${fact.needs} (${sourceOf(fact, node, policy)})`;
}

/** A violation in one clause: what, has, needs by which row of the guide, what to do. */
export function violationText(fact: Fact, node: Node, policy: CompiledPolicy): string {
  return `${fact.reason}: has ${fact.has === '' ? 'none' : fact.has}, needs ${needsText(fact, node, policy)}: ${fact.fix}`;
}

/** Who asks: the guide by its row, or a policy that asks for something else than the defaults, which are the guide's figures. */
function sourceOf({ reason, needs, guide }: Fact, node: Node, policy: CompiledPolicy): string {
  if (guide === '') return 'the policy’s own, no row of the guide';
  const byGuide = factsOf(node, policy, conformanceDefaults).find((fact) => fact.reason === reason);
  return byGuide?.needs === needs ? `guide, ${guide}` : `changed by the policy; guide, ${guide}`;
}
