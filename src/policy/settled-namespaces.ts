import { isInForce } from './exemptions.ts';
import type { CompiledPolicy } from './model/policy.ts';

/**
 * Namespaces that the policy leaves to the labels, or to nobody on purpose: those that are not asked whether pods there bear the workflow
 * labels. An exemption of a namespace alone, from every rule, is such a purpose.
 */
export function settledNamespaces(
  { workflowNamespaces, exemptions }: CompiledPolicy,
  nowMs: number,
): readonly string[] {
  const exempt = exemptions
    .filter((entry) => isInForce(entry, nowMs))
    .filter(
      ({ exemption: { reason: _reason, until: _until, namespaces: _names, ...rest } }) =>
        Object.keys(rest).length === 0,
    )
    .flatMap(({ exemption }) => exemption.namespaces ?? []);
  return [...new Set([...workflowNamespaces, ...exempt])].sort();
}
