import type { TaintPattern } from './kube/taint.ts';
import type { Policy } from './model/policy.ts';

/** The configured operator taints as patterns: no value = any, no effects = NoSchedule and NoExecute (a PreferNoSchedule taint keeps nothing off). */
export function operatorTaintPatterns(policy: Policy): readonly TaintPattern[] {
  return policy.nodes.operatorTaints.map(({ key, value, effects }) => ({
    key,
    ...(value !== undefined && { value }),
    effects: effects ?? ['NoSchedule', 'NoExecute'],
  }));
}
