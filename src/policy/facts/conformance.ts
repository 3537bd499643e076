import type { Ceiling } from '../model/finding.ts';
import type { Node } from '../model/node.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { isControlPlane } from '../model/view.ts';
import type { Fact } from './fact.ts';
import { factsOf } from './index.ts';
import type { ConformanceSettings } from './settings.ts';

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

export function violations(facts: readonly Fact[]): readonly Fact[] {
  return facts.filter(({ verdict }) => verdict === 'violates');
}
