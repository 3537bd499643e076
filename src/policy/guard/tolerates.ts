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
      message: `${matched.text}; a workflow pod must not tolerate what keeps it off operator nodes${reachText(pod, policy, view)}: remove ${matched.count === 1 ? 'this toleration' : 'these tolerations'}, or give key, value and effect of the taint that you mean`,
      short: `tolerates an operator taint: ${matched.field}`,
    },
  ];
}
