import { describeToleration, type TaintPattern, type Toleration, toleratesSome } from '../kube/taint.ts';
import type { Finding } from '../model/finding.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import type { ClusterView } from '../model/view.ts';
import { guardId, maxListed } from './guard.ts';
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
  const matches: { index: number; text: string }[] = [];
  let count = 0;
  pod.placement.tolerations.forEach((toleration, index) => {
    if (!isAdded(toleration)) return;
    const taints = policy.operatorTaints.filter((pattern) => toleratesSome(toleration, pattern));
    if (taints.length === 0) return;
    count += 1;
    if (matches.length >= maxListed) return;
    const covered = taints.slice(0, maxListed).map(describePattern).join(' and ');
    matches.push({
      index,
      text: `${pod.path}spec.tolerations[${index}] ${describeToleration(toleration)} matches the operator taint ${covered}`,
    });
  });
  const [first] = matches;
  if (first === undefined) return [];
  const more = count > matches.length ? `, and ${count - matches.length} more do` : '';
  return [
    {
      rule: guardId,
      reason: 'tolerates',
      field: `${pod.path}spec.tolerations[${first.index}]`,
      message: `${matches.map(({ text }) => text).join('; ')}${more}; a workflow pod must not tolerate what keeps it off operator nodes${reachText(pod, policy, view)}: remove ${count === 1 ? 'this toleration' : 'these tolerations'}, or give key, value and effect of the taint that you mean`,
      short: `tolerates an operator taint: ${pod.path}spec.tolerations[${first.index}]`,
    },
  ];
}

function describePattern({ key, value, effects }: TaintPattern): string {
  return `${key}${value === undefined ? '' : `=${value}`}:${effects.join('|')}`;
}
