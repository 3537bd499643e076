import { describeTaint, describeToleration, type TaintPattern, toleratesSome } from '../kube/taint.ts';
import { clip } from '../kube/text.ts';
import type { Finding } from '../model/finding.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { termsPath } from '../model/read-pod.ts';
import type { NodeLookup } from '../model/snapshot.ts';
import { type ClusterView, isOperatorNode, operatorTaintOf } from '../model/view.ts';
import { alternativesOf, meetable, openAlternative } from '../placement/constraints.ts';
import { exclusionOf } from '../placement/place.ts';
import { reachOf } from '../placement/reach.ts';
import { defineRule, enforcementSchema, nothing } from '../rule.ts';
import { isMirrorPod, isWorkflowPod } from '../workflow-pod.ts';
import { placeWorkload } from './placement.ts';

/*
 * Operator nodes run osmo-backend-operator and must stay free of workflow pods (the guide's rows "Purpose: dedicated nodes" and
 * "Taints: no osmo workflow pods are scheduled on these nodes").
 *
 * Restricted fields: spec.tolerations[*], spec.nodeSelector, spec.affinity.nodeAffinity (required terms), spec.nodeName.
 * Allowed: whatever cannot reach an operator node, now or when one registers later.
 *
 * Strict on what the pod says (a toleration is refused whatever the selectors say), exact on where it can land.
 */

interface Settings {
  readonly enforcement: 'enforce' | 'warn' | 'audit' | 'off';
}

const id = 'operator-node-guard';

export const operatorNodeGuard = defineRule<Settings, undefined>({
  id,
  summary: 'A workflow pod must not be able to reach an operator node, now or when one registers later.',
  on: [{ group: '', resource: 'pods', operations: ['CREATE'] }],
  settings: {
    defaults: { enforcement: 'enforce' },
    schema: {
      type: 'object',
      additionalProperties: false,
      description: 'Keeps workflow pods off operator nodes.',
      properties: {
        enforcement: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'enforce = deny, warn = allow with a warning, audit = allow and record.',
        ),
      },
    },
  },
  reasons: {
    tolerates: {
      summary: 'A toleration of the pod matches a taint that marks operator nodes.',
      fix: 'Remove the toleration, or narrow it to the key, value and effect of the taint that the pod really needs to tolerate. A toleration without a key, or without an effect, matches more than it seems to.',
    },
    selects: {
      summary:
        'The pod’s nodeSelector or required node affinity selects operator nodes, or leaves them open because the exclusion is missing.',
      fix: 'Select compute, gpu or jetson nodes instead, or leave the selection to placement. Where the exclusion is missing, the mutating webhook did not run or was undone: add the node affinity that the message names.',
    },
    bound: {
      summary: 'spec.nodeName binds the pod to an operator node, or to a node that does not exist.',
      fix: 'Remove spec.nodeName and let the scheduler choose; use nodeSelector to ask for a kind of node.',
    },
  },
  compile: () => undefined,
  check: () => [],
  enforcement: (settings) => settings.enforcement,
  needs: (_request, subject, phase) => {
    const nodeName = subject.kind === 'pod' ? subject.pod.placement.nodeName : undefined;
    return phase === 'validate' && nodeName !== undefined ? [nodeName] : [];
  },
  phases: () => ['validate'],
  judges: (subject, policy) => subject.kind === 'pod' && isWorkflowPod(subject.pod, policy),
  evaluate({ phase, request, subject, policy, view, lookups }) {
    if (phase !== 'validate' || subject.kind !== 'pod') return nothing;
    const pod = asPlacementWouldMakeIt(subject.pod, policy, view);
    const notes: string[] = [];
    const findings = [
      ...tolerates(pod, policy, view),
      ...selects(pod, policy, view),
      ...bound(pod, policy, lookups, notes),
    ];
    // A true mirror pod shows what a kubelet runs already: denying it ends nothing.
    const atMost = isMirrorPod(subject.pod, request) ? 'audit' : undefined;
    return {
      findings: atMost === undefined ? findings : findings.map((finding) => ({ ...finding, atMost })),
      edits: [],
      notes,
    };
  },
});

/**
 * Under `enforce` the pod is judged as it stands: never trust that mutation ran. Where placement only warns or records, it
 * patches nothing, so the pod is judged as placement would have made it.
 */
function asPlacementWouldMakeIt(pod: Workload, policy: CompiledPolicy, view: ClusterView): Workload {
  const enforcement = policy.enforcementOf('placement', '');
  if (enforcement === 'enforce' || enforcement === 'off') return pod;
  return { ...pod, placement: placeWorkload(pod, policy, view).placement };
}

const maxListed = 3;

function tolerates(pod: Workload, policy: CompiledPolicy, view: ClusterView): readonly Finding[] {
  const matches: { index: number; text: string }[] = [];
  let count = 0;
  pod.placement.tolerations.forEach((toleration, index) => {
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
      rule: id,
      reason: 'tolerates',
      field: `${pod.path}spec.tolerations[${first.index}]`,
      message: `${matches.map(({ text }) => text).join('; ')}${more}; a workflow pod must not tolerate what keeps it off operator nodes${reachText(pod, policy, view)}: remove ${count === 1 ? 'this toleration' : 'these tolerations'}, or give key, value and effect of the taint that you mean`,
      short: `tolerates an operator taint: spec.tolerations[${first.index}]; remove it`,
    },
  ];
}

function selects(pod: Workload, policy: CompiledPolicy, view: ClusterView): readonly Finding[] {
  const named = selectsByName(pod, policy, view);
  if (named !== undefined) return [named];
  const exclusion = exclusionOf(policy);
  if (exclusion === undefined) return [];
  const operatorLabel = `${exclusion.key}=${exclusion.values.join('|')}`;
  const own = meetable(alternativesOf(pod.placement, exclusion));
  if (own === undefined) return [];
  if (meetable(alternativesOf(pod.placement, exclusion), exclusion) === undefined) {
    const field = selectorField(pod, exclusion.key, own.term);
    return [
      {
        rule: id,
        reason: 'selects',
        field,
        message: `${field} selects operator nodes only (${operatorLabel})${reachText(pod, policy, view)}: select ${workflowValues(policy)} instead, or remove it and let placement choose`,
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
      rule: id,
      reason: 'selects',
      field,
      message: `${field} leaves nodes with ${operatorLabel} open, because the exclusion is missing (the mutating webhook did not run, or a later one undid it)${reachText(pod, policy, view)}: add the expression {key: ${exclusion.key}, operator: NotIn, values: [${exclusion.values.join(', ')}]} to ${open.term === undefined ? 'a required node affinity term' : 'that term'}`,
      short: `leaves operator nodes open: the exclusion ${exclusion.key} NotIn is missing`,
    },
  ];
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
        rule: id,
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

function bound(
  pod: Workload,
  policy: CompiledPolicy,
  lookups: ReadonlyMap<string, NodeLookup>,
  notes: string[],
): readonly Finding[] {
  const name = pod.placement.nodeName;
  if (name === undefined) return [];
  const base = { rule: id, reason: 'bound', field: `${pod.path}spec.nodeName` };
  const shown = clip(name, 64);
  const lookup = lookups.get(name);
  if (lookup === undefined || lookup.state === 'offline') {
    notes.push(`spec.nodeName ${shown} is not judged: no live nodes are given`);
    return [];
  }
  if (lookup.state === 'unknown') {
    return [
      {
        ...base,
        undecided: true,
        message: `${base.field} is ${shown}, and the node could not be looked up (${lookup.why}), so nobody can say whether it is an operator node: try again, or remove spec.nodeName`,
        short: `spec.nodeName could not be looked up: ${clip(lookup.why, 40)}`,
      },
    ];
  }
  if (lookup.state === 'absent') {
    return [
      {
        ...base,
        message: `${base.field} is ${shown}, a node that does not exist now, so nobody can say that it will not be an operator node: remove spec.nodeName and let the scheduler choose`,
        short: `spec.nodeName ${clip(name, 40)} does not exist`,
      },
    ];
  }
  if (!isOperatorNode(lookup.node, policy)) return [];
  const taint = operatorTaintOf(lookup.node, policy);
  const why =
    taint === undefined
      ? `it bears the label ${policy.policy.nodes.typeLabel}=${lookup.node.labels[policy.policy.nodes.typeLabel] ?? ''}`
      : `it bears the operator taint ${describeTaint(taint)}`;
  return [
    {
      ...base,
      message: `${base.field} is ${shown}, an operator node (${why}), and a pod with spec.nodeName skips the scheduler: remove spec.nodeName and let the scheduler choose`,
      short: `spec.nodeName ${clip(name, 40)} is an operator node`,
    },
  ];
}

function workflowValues(policy: CompiledPolicy): string {
  const { typeLabel, types } = policy.policy.nodes;
  const values = Object.keys(types).filter((value) => types[value] !== 'operator');
  return values.length === 0 ? 'other nodes' : `${typeLabel}=${values.join('|')}`;
}

/** Names the operator nodes that the pod could land on today but for the exclusion, or says why nobody can tell. */
function reachText(pod: Workload, policy: CompiledPolicy, view: ClusterView): string {
  if (!view.known) {
    return view.state === 'offline' ? '' : ' (live nodes are not known yet)';
  }
  const { names, count, complete } = reachOf(pod.placement, view.operatorNodes(), exclusionOf(policy));
  if (count === 0) return complete ? ' (no live operator node fits the rest of it today)' : '';
  const more = count - names.length;
  const rest = more > 0 || !complete ? ` and ${complete ? '' : 'at least '}${more} more` : '';
  return ` (it could reach ${names.join(', ')}${rest})`;
}

function describePattern({ key, value, effects }: TaintPattern): string {
  return `${key}${value === undefined ? '' : `=${value}`}:${effects.join('|')}`;
}
