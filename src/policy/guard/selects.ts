import { clip } from '../kube/text.ts';
import type { Finding } from '../model/finding.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { termsPath } from '../model/read-pod.ts';
import { type ClusterView, isOperatorNode } from '../model/view.ts';
import { alternativesOf, meetable, openAlternative } from '../placement/constraints.ts';
import { exclusionEdits, exclusionOf, maxPatchedTerms } from '../placement/place.ts';
import { guardId } from './guard.ts';
import { reachText } from './reach-text.ts';

/** A selector or required affinity that selects operator nodes, or leaves them open; judged by the labels that a node could bear. */
export function selects(pod: Workload, policy: CompiledPolicy, view: ClusterView): readonly Finding[] {
  const named = selectsByName(pod, policy, view);
  return [...(named === undefined ? [] : [named]), ...selectsByLabels(pod, policy, view)];
}

function selectsByLabels(pod: Workload, policy: CompiledPolicy, view: ClusterView): readonly Finding[] {
  const exclusion = exclusionOf(policy);
  if (exclusion === undefined) return [];
  const operatorLabel = `${exclusion.key}=${exclusion.values.join('|')}`;
  const own = meetable(alternativesOf(pod.placement, exclusion));
  if (own === undefined) return [];
  if (meetable(alternativesOf(pod.placement, exclusion), exclusion) === undefined) {
    const field = selectorField(pod, exclusion.key, own.term);
    return [
      {
        rule: guardId,
        reason: 'selects',
        field,
        message: `${field} selects operator nodes only (${operatorLabel})${reachText(pod, policy, view)}: remove it and let placement choose`,
        short: `selects operator nodes only: ${field}`,
      },
    ];
  }
  if (policy.enforcementOf('placement', '') === 'off') return [];
  const open = openAlternative(pod.placement, exclusion);
  if (open === undefined) return [];
  const field = open.term === undefined ? `${pod.path}spec.affinity` : `${pod.path}spec.${termsPath}[${open.term}]`;
  return [
    {
      rule: guardId,
      reason: 'selects',
      field,
      message: `${field} leaves nodes with ${operatorLabel} open, because the exclusion is missing (${whyMissing(pod, policy)})${reachText(pod, policy, view)}: add the expression {key: ${exclusion.key}, operator: NotIn, values: [${exclusion.values.join(', ')}]} to ${open.term === undefined ? 'a required node affinity term' : 'that term'}`,
      short: `leaves operator nodes open: the exclusion ${exclusion.key} NotIn is missing`,
    },
  ];
}

function whyMissing({ placement }: Workload, policy: CompiledPolicy): string {
  return exclusionEdits(placement, policy) === undefined
    ? `more than ${maxPatchedTerms} terms lack it, and placement adds it to none then`
    : 'the mutating webhook did not run, went by another policy a moment ago, or was undone by a later one';
}

/** A matchFields `In` on the name of a live operator node. */
function selectsByName(pod: Workload, policy: CompiledPolicy, view: ClusterView): Finding | undefined {
  for (const [index, term] of (pod.placement.terms ?? []).entries()) {
    for (const [at, { key, operator, values }] of term.matchFields.entries()) {
      if (key !== 'metadata.name' || operator !== 'In') continue;
      const name = values.find((value) => {
        const node = view.nodes.get(value);
        return node !== undefined && isOperatorNode(node, policy);
      });
      if (name === undefined) continue;
      const field = `${pod.path}spec.${termsPath}[${index}].matchFields[${at}]`;
      return {
        rule: guardId,
        reason: 'selects',
        field,
        message: `${field} names ${name}, which is an operator node: name another node, or remove the field`,
        short: `selects the operator node ${clip(name, 40)} by name`,
      };
    }
  }
  return undefined;
}

/** The field that a person has to change: the nodeSelector's pair where it is there, else the term. */
function selectorField(pod: Workload, key: string, term: number | undefined): string {
  if (Object.hasOwn(pod.placement.nodeSelector, key)) return `${pod.path}spec.nodeSelector[${key}]`;
  return term === undefined ? `${pod.path}spec.nodeSelector` : `${pod.path}spec.${termsPath}[${term}]`;
}
