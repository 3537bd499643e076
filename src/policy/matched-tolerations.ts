import {
  describePattern,
  describeToleration,
  type TaintPattern,
  type Toleration,
  toleratesSome,
  tolerationKey,
} from './kube/taint.ts';
import type { Workload } from './model/placement.ts';

/** As many tolerations, and as many taints of each, as one message lists. */
const maxListed = 3;

export interface MatchedTolerations {
  /** Path of the first. */
  readonly field: string;
  readonly count: number;
  /** Which of them matches which taint, for a message. */
  readonly text: string;
}

/**
 * Tolerations that match a taint of a list, whatever the pod's selectors say; undefined where none does.
 * @param sort what messages call such a taint: `operator taint`.
 * @param isMeant which tolerations are asked about: of an UPDATE those that the pod did not have.
 */
export function matchedTolerations(
  { path, placement }: Workload,
  patterns: readonly TaintPattern[],
  sort: string,
  isMeant: (toleration: Toleration) => boolean,
): MatchedTolerations | undefined {
  let first: string | undefined;
  const texts: string[] = [];
  let count = 0;
  placement.tolerations.forEach((toleration, index) => {
    if (!isMeant(toleration)) return;
    const taints = patterns.filter((pattern) => toleratesSome(toleration, pattern));
    if (taints.length === 0) return;
    count += 1;
    if (texts.length >= maxListed) return;
    const field = `${path}spec.tolerations[${index}]`;
    first ??= field;
    const covered = taints.slice(0, maxListed).map(describePattern).join(' and ');
    texts.push(`${field} ${describeToleration(toleration)} matches the ${sort} ${covered}`);
  });
  if (first === undefined) return undefined;
  const more = count > texts.length ? `, and ${count - texts.length} more do` : '';
  return { field: first, count, text: `${texts.join('; ')}${more}` };
}

/** Whether a toleration is one that a pod did not have. By a set: pods with tens of thousands of tolerations are accepted. */
export function isAddedTo({ placement }: Workload): (toleration: Toleration) => boolean {
  const had = new Set(placement.tolerations.map(tolerationKey));
  return (toleration) => !had.has(tolerationKey(toleration));
}
