import type { Labels } from '../kube/labels.ts';
import { fieldsCanMatch, type NodeSelectorTerm, type Requirement } from '../kube/node-selector.ts';
import { satisfiable } from '../kube/satisfiable.ts';
import type { Placement } from '../model/placement.ts';

/**
 * What a placement asks of a node's labels: the nodeSelector's pairs, and one of the required node affinity terms, since both must
 * hold. The pairs are kept once beside the alternatives: a pod may have thousands of either, and their product must never be made.
 */
export interface Alternatives {
  readonly nodeSelector: Labels;
  /** False where no node can bear the nodeSelector's pairs: a value that is no label value. */
  readonly selectable: boolean;
  /** Terms that some node could match at all. A placement without required affinity has one alternative, without a term. */
  readonly list: readonly Alternative[];
}

export interface Alternative {
  /** Index of the term; undefined for a placement without required node affinity. */
  readonly term: number | undefined;
  /** The term's expressions, with the nodeSelector's pairs for the same keys. */
  readonly requirements: readonly Requirement[];
}

/** @param strip a requirement whose values are taken out of every NotIn on its key, so that the pod's own words remain. */
export function alternativesOf({ nodeSelector, terms }: Placement, strip?: Requirement): Alternatives {
  const selectable = satisfiable(Object.keys(nodeSelector).map((key) => pairOf(nodeSelector, key)));
  if (terms === undefined) return { nodeSelector, selectable, list: [{ term: undefined, requirements: [] }] };
  const list: Alternative[] = [];
  terms.forEach((term, index) => {
    if (isEmptyTerm(term) || !fieldsCanMatch(term.matchFields)) return;
    const own = strip === undefined ? term.matchExpressions : stripped(term.matchExpressions, strip);
    const shared = new Set(own.map(({ key }) => key).filter((key) => Object.hasOwn(nodeSelector, key)));
    const pairs = [...shared].map((key) => pairOf(nodeSelector, key));
    list.push({ term: index, requirements: pairs.length === 0 ? own : [...pairs, ...own] });
  });
  return { nodeSelector, selectable, list };
}

/** A pair of a nodeSelector as a requirement. */
function pairOf(nodeSelector: Labels, key: string): Requirement {
  return { key, operator: 'In', values: [nodeSelector[key] ?? ''] };
}

/** A term without any requirement matches no node (Kubernetes documentation, "Assigning Pods to Nodes"). */
export function isEmptyTerm(term: NodeSelectorTerm): boolean {
  return term.matchExpressions.length === 0 && term.matchFields.length === 0;
}

/** The first alternative that some node could meet together with `extra`. Keys are independent, so only pairs of the same key matter. */
export function meetable(
  { nodeSelector, selectable, list }: Alternatives,
  extra?: Requirement,
): Alternative | undefined {
  if (!selectable) return undefined;
  if (extra === undefined) return list.find(({ requirements }) => satisfiable(requirements));
  const also = Object.hasOwn(nodeSelector, extra.key) ? [pairOf(nodeSelector, extra.key), extra] : [extra];
  return list.find(({ requirements }) => satisfiable([...requirements, ...also]));
}

/** The alternative by which a placement could meet what the exclusion rules out; undefined where it carries the exclusion, in whatever words. */
export function openAlternative(placement: Placement, exclusion: Requirement): Alternative | undefined {
  return meetable(alternativesOf(placement), { ...exclusion, operator: 'In' });
}

/** True if `term` already says at least what an In or NotIn requirement says: In fewer values, or NotIn more. */
export function termHas(term: NodeSelectorTerm, wanted: Requirement): boolean {
  return term.matchExpressions.some(({ key, operator, values }) => {
    if (key !== wanted.key || operator !== wanted.operator) return false;
    if (operator === 'DoesNotExist') return true;
    if (operator === 'NotIn') return wanted.values.every((value) => values.includes(value));
    return operator === 'In' && values.length > 0 && values.every((value) => wanted.values.includes(value));
  });
}

/** True if every node that the placement can land on bears one of `values` as `key`, by what the placement says. */
export function implies(placement: Placement, key: string, values: readonly string[]): boolean {
  const selected = Object.hasOwn(placement.nodeSelector, key) ? placement.nodeSelector[key] : undefined;
  if (selected !== undefined) return values.includes(selected);
  const terms = placement.terms?.filter((term) => !isEmptyTerm(term)) ?? [];
  return terms.length > 0 && terms.every((term) => termHas(term, { key, operator: 'In', values }));
}

/** Expressions less the values of a NotIn requirement: a NotIn that named nothing else is gone. */
export function stripped(expressions: readonly Requirement[], strip: Requirement): readonly Requirement[] {
  if (!expressions.some(({ key, operator }) => key === strip.key && operator === 'NotIn')) return expressions;
  return expressions.flatMap((expression) => {
    if (expression.key !== strip.key || expression.operator !== 'NotIn') return [expression];
    const values = expression.values.filter((value) => !strip.values.includes(value));
    return values.length === 0 ? [] : [{ ...expression, values }];
  });
}
