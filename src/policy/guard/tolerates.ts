import type { Toleration } from '../kube/taint.ts';
import { matchedTolerations } from '../matched-tolerations.ts';
import type { Finding } from '../model/finding.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import type { ClusterView } from '../model/view.ts';
import { guardId } from './guard.ts';
import { reachText } from './reach-text.ts';

/**
 * Tolerations that match an operator taint, whatever the selectors say.
 * @param isAdded which tolerations the request brings: of an UPDATE those that the pod did not have.
 */
export function tolerates(
  pod: Workload,
  policy: CompiledPolicy,
  view: ClusterView,
  isAdded: (toleration: Toleration) => boolean,
): readonly Finding[] {
  const matched = matchedTolerations(pod, policy.operatorTaints, 'operator taint', isAdded);
  if (matched === undefined) return [];
  return [
    {
      rule: guardId,
      reason: 'tolerates',
      field: matched.field,
      message: `${matched.text}; a workflow pod must not tolerate what keeps it off operator nodes${reachText(pod, policy, view)}: remove ${matched.count === 1 ? 'it' : 'them'} (placement adds what a gpu or jetson pod needs), or name key, value and effect of another taint that you mean, such as ${example(policy)}`,
      short: `tolerates an operator taint: ${matched.field}`,
    },
  ];
}

/** A toleration that the policy itself gives to workflow pods. */
function example(policy: CompiledPolicy): string {
  const own = policy.profiles.flatMap(({ profile }) => profile.tolerations).find(({ value }) => value !== undefined);
  return own === undefined ? 'one of your own' : `${own.key}=${own.value}:${own.effect ?? 'NoSchedule'}`;
}
