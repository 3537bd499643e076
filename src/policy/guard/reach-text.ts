import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import type { ClusterView } from '../model/view.ts';
import { exclusionOf } from '../placement/place.ts';
import { reachOf } from '../placement/reach.ts';

/** Names the operator nodes that the pod could land on today but for the exclusion, or says why nobody can tell. */
export function reachText(pod: Workload, policy: CompiledPolicy, view: ClusterView): string {
  if (!view.known) {
    return view.state === 'offline' ? '' : ' (live nodes are not known yet)';
  }
  const { names, count, complete } = reachOf(pod.placement, view.operatorNodes(), exclusionOf(policy));
  if (count === 0) {
    return complete
      ? ' (no operator node of today fits the rest of it, but one may register)'
      : ' (too much to say which operator nodes it could reach)';
  }
  const more = count - names.length;
  const rest = more > 0 || !complete ? ` and ${complete ? '' : 'at least '}${more} more` : '';
  return ` (it could reach ${names.join(', ')}${rest})`;
}
