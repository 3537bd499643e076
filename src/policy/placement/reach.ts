import { matchesLabels, type NodeSelectorTerm, nodeMatcher, type Requirement } from '../kube/node-selector.ts';
import { tolerates } from '../kube/taint.ts';
import type { Node } from '../model/node.ts';
import type { Placement } from '../model/placement.ts';
import { isEmptyTerm, stripped } from './constraints.ts';

/** Operator nodes that a pod could land on, for a message. */
export interface Reach {
  /** At most `maxNames`, sorted. */
  readonly names: readonly string[];
  readonly count: number;
  /** False where the work limit ended the search: then `count` is a lower bound. */
  readonly complete: boolean;
}

const maxNames = 5;

/**
 * Upper bound on comparisons for one message, in values of requirements: 100 operator nodes times 64 terms of a few values fit, and a
 * hostile pod with 10,000 terms, or one term of 10,000 values, costs no more.
 */
const maxComparisons = 50_000;

/**
 * The operator nodes that the scheduler would find feasible for the placement but for the exclusion: by selector, affinity,
 * matchFields, the taints of that very node, and cordon (filters NodeAffinity, TaintToleration and NodeUnschedulable).
 */
export function reachOf(
  placement: Placement,
  operatorNodes: readonly Node[],
  exclusion: Requirement | undefined,
): Reach {
  const terms = exclusion === undefined ? placement.terms : withoutExclusion(placement.terms, exclusion);
  const names: string[] = [];
  let count = 0;
  let work = 0;
  const cost = costOf(placement) + 1;
  const matches = nodeMatcher(terms);
  for (const node of operatorNodes) {
    work += cost;
    if (work > maxComparisons) return { names, count, complete: false };
    if (!matchesLabels(placement.nodeSelector, node.labels)) continue;
    if (!matches(node)) continue;
    if (!toleratesNode(placement, node)) continue;
    count += 1;
    if (names.length < maxNames) names.push(node.name);
  }
  return { names, count, complete: true };
}

/** PreferNoSchedule keeps nothing off; a cordoned node bears the taint `node.kubernetes.io/unschedulable`, which a pod may tolerate. */
function toleratesNode(placement: Placement, node: Node): boolean {
  const cordoned = { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' };
  const taints = node.unschedulable ? [...node.taints, cordoned] : node.taints;
  return taints.every(
    (taint) =>
      taint.effect === 'PreferNoSchedule' || placement.tolerations.some((toleration) => tolerates(toleration, taint)),
  );
}

/** The terms less the exclusion; undefined, which matches every node, where some term held nothing else. */
function withoutExclusion(
  terms: readonly NodeSelectorTerm[] | undefined,
  exclusion: Requirement,
): readonly NodeSelectorTerm[] | undefined {
  const rest = terms?.map((term) => ({ ...term, matchExpressions: stripped(term.matchExpressions, exclusion) }));
  const opened = rest?.some((term, index) => isEmptyTerm(term) && terms?.[index]?.matchExpressions.length !== 0);
  return opened === true ? undefined : rest;
}

/** Comparisons that one node costs at most: every pair, every value of every requirement, and every toleration. */
function costOf({ nodeSelector, terms = [], tolerations }: Placement): number {
  let cost = Object.keys(nodeSelector).length + tolerations.length;
  for (const { matchExpressions, matchFields } of terms) {
    cost += 1;
    for (const { values } of matchExpressions) cost += values.length + 1;
    cost += matchFields.length;
  }
  return cost;
}
