import type { NodeSelectorTerm, Requirement } from '../kube/node-selector.ts';
import { satisfiable } from '../kube/satisfiable.ts';
import type { Placement } from '../model/placement.ts';

/**
 * What a placement asks of a node's labels, as alternatives: one list of requirements for each required node affinity term, each
 * with the nodeSelector's pairs in it, since both must hold. A placement without required affinity has one alternative.
 * Terms that match no node whatever its labels (an empty term, a matchFields that Kubernetes refuses) have none.
 */
export interface Alternative {
  /** Index of the term; undefined for a placement without required node affinity. */
  readonly term: number | undefined;
  readonly requirements: readonly Requirement[];
}

/** @param strip a requirement whose values are taken out of every NotIn on its key, so that the pod's own words remain. */
export function alternativesOf(placement: Placement, strip?: Requirement): readonly Alternative[] {
  const selector = Object.keys(placement.nodeSelector).map(
    (key): Requirement => ({ key, operator: 'In', values: [placement.nodeSelector[key] ?? ''] }),
  );
  if (placement.terms === undefined) return [{ term: undefined, requirements: selector }];
  const alternatives: Alternative[] = [];
  placement.terms.forEach((term, index) => {
    if (isEmptyTerm(term) || !fieldsCanMatch(term.matchFields)) return;
    const expressions = strip === undefined ? term.matchExpressions : stripped(term.matchExpressions, strip);
    alternatives.push({ term: index, requirements: [...selector, ...expressions] });
  });
  return alternatives;
}

/** A term without any requirement matches no node (Kubernetes documentation, "Assigning Pods to Nodes"). */
export function isEmptyTerm(term: NodeSelectorTerm): boolean {
  return term.matchExpressions.length === 0 && term.matchFields.length === 0;
}

/** The first alternative that some node could meet together with `extra`. */
export function meetable(alternatives: readonly Alternative[], extra?: Requirement): Alternative | undefined {
  return alternatives.find(({ requirements }) =>
    satisfiable(extra === undefined ? requirements : [...requirements, extra]),
  );
}

/** True if `term` already says at least what an In or NotIn requirement says: In fewer values, or NotIn more. */
export function termHas(term: NodeSelectorTerm, wanted: Requirement): boolean {
  return term.matchExpressions.some(({ key, operator, values }) => {
    if (key !== wanted.key || operator !== wanted.operator) return false;
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

/** matchFields knows metadata.name with In or NotIn and one value; anything else matches no node. */
function fieldsCanMatch(fields: readonly Requirement[]): boolean {
  let wanted: string | undefined;
  for (const { key, operator, values } of fields) {
    if (key !== 'metadata.name' || values.length !== 1 || (operator !== 'In' && operator !== 'NotIn')) return false;
    if (operator === 'In') {
      if (wanted !== undefined && wanted !== values[0]) return false;
      wanted = values[0];
    }
  }
  return wanted === undefined || !fields.some(({ operator, values }) => operator === 'NotIn' && values[0] === wanted);
}
