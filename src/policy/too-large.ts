import { strictest } from './enforcement.ts';
import type { Finding } from './model/finding.ts';
import type { CompiledPolicy } from './model/policy.ts';
import type { ReasonText } from './rule.ts';

/** A reason of every rule: of a review that is more than is parsed nobody knows what the rule would say. */
export const tooLargeReason = 'too-large';

export const tooLargeText: ReasonText = {
  summary: 'The object holds more values than are parsed, or nests deeper. No rule could judge it.',
  fix: 'Make the object smaller: keep large data in a ConfigMap, a volume or the image. No pod or node that people or controllers make comes near the bounds, which the message names.',
};

/**
 * The finding of a review whose object was not read. Denied, rather than left to failurePolicy: an author, or a kubelet, could choose the
 * size of an object so that nobody judges it.
 * @param rules ids of those that read it; the strictest of them answers.
 */
export function tooLarge(rules: readonly string[], excess: string, policy: CompiledPolicy): readonly Finding[] {
  const rule = strictest(rules, (id) => policy.enforcementOf(id, tooLargeReason));
  if (rule === undefined) return [];
  return [
    {
      rule,
      reason: tooLargeReason,
      field: 'object',
      message: `the review of this object ${excess}, so no rule can judge it: make the object smaller`,
      short: `too large to be judged: it ${excess}`,
    },
  ];
}
