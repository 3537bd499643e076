import { bound, boundByBinding, isTargetInQuestion } from '../guard/bound.ts';
import { guardId } from '../guard/guard.ts';
import { selects } from '../guard/selects.ts';
import { tolerates } from '../guard/tolerates.ts';
import type { Toleration } from '../kube/taint.ts';
import type { Finding } from '../model/finding.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { isTemplate, type PodSubject } from '../model/request.ts';
import type { ClusterView } from '../model/view.ts';
import { defineRule, enforcementSchema, type Need, nothing, type RuleInput, type RuleResult } from '../rule.ts';
import { type TemplateEnforcement, templateMatches, templateSchema, withCeiling } from '../templates.ts';
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
  readonly templates: TemplateEnforcement;
}

const id = guardId;

export const operatorNodeGuard = defineRule<Settings, Settings>({
  id,
  summary: 'A workflow pod must not be able to reach an operator node, now or when one registers later.',
  on: [
    { group: '', resource: 'pods', operations: ['CREATE'] },
    { group: '', resource: 'pods', operations: ['UPDATE'], changes: ['placement', 'workflow-labels'] },
    // Labels that are sent through the status are stored, too.
    { group: '', resource: 'pods/status', operations: ['UPDATE'], changes: ['workflow-labels'] },
    { group: '', resource: 'pods/binding', operations: ['CREATE'] },
    { group: '', resource: 'bindings', operations: ['CREATE'] },
    ...templateMatches,
  ],
  settings: {
    defaults: { enforcement: 'enforce', templates: 'warn' },
    schema: {
      type: 'object',
      additionalProperties: false,
      description: 'Keeps workflow pods off operator nodes.',
      properties: {
        enforcement: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'enforce = deny, warn = allow with a warning, audit = allow and record.',
        ),
        templates: templateSchema,
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
      summary: 'spec.nodeName, or a Binding, puts the pod on an operator node, or on a node that does not exist.',
      fix: 'Remove spec.nodeName and let the scheduler choose; use nodeSelector to ask for a kind of node. A Binding is what a scheduler writes: name another node.',
    },
    relabelled: {
      summary: 'A change of labels made the pod a workflow pod, or no workflow pod any more. Recorded only.',
      fix: 'Nothing, if it was meant. Label pods when they are created: then they are placed for what they are.',
    },
  },
  compile: (settings) => settings,
  check: () => [],
  enforcement: (settings) => settings.enforcement,
  needs: ({ phase, subject, policy, lookups }): readonly Need[] => {
    if (phase !== 'validate' || subject.kind === 'node') return [];
    if (subject.kind === 'pod') {
      const { nodeName } = subject.pod.placement;
      const old = subject.old?.placement.nodeName;
      return nodeName === undefined || nodeName === old ? [] : [{ kind: 'node', name: nodeName }];
    }
    const { nodeName, namespace, name } = subject.binding;
    const target: Need = { kind: 'node', name: nodeName };
    return isTargetInQuestion(lookups.nodes.get(nodeName), policy)
      ? [target, { kind: 'pod', namespace, name }]
      : [target];
  },
  phases: () => ['validate'],
  judges: (subject, policy) => {
    if (subject.kind === 'binding') return true;
    return (
      subject.kind === 'pod' && [subject.pod, subject.old ?? subject.pod].some((pod) => isWorkflowPod(pod, policy))
    );
  },
  evaluate(input, settings): RuleResult {
    const { phase, subject, policy, lookups } = input;
    if (phase !== 'validate' || subject.kind === 'node') return nothing;
    if (subject.kind === 'binding') return boundByBinding(subject.binding, policy, lookups);
    const result = judgePod(subject, input);
    const atMost = isTemplate(subject.pod)
      ? settings.templates
      : // A true mirror pod shows what a kubelet runs already: denying it ends nothing.
        isMirrorPod(subject.pod, input.request)
        ? 'audit'
        : 'enforce';
    return { ...result, findings: result.findings.map((finding) => withCeiling(finding, atMost)) };
  },
});

/** What is known of a pod, or of the pod that would be made of a template; of an UPDATE only what it adds. */
function judgePod({ pod, old }: PodSubject, { policy, view, lookups }: RuleInput): RuleResult {
  const placed = asPlacementWouldMakeIt(pod, policy, view);
  // Without its gates the scheduler takes it up as it stands, whatever it was when it was made.
  const isWhole = old === undefined || (old.gated && !pod.gated);
  if (isWhole) {
    const byName = bound(placed, policy, lookups);
    return {
      ...byName,
      findings: [...tolerates(placed, policy, view, () => true), ...selects(placed, policy, view), ...byName.findings],
    };
  }
  const had = old.placement.tolerations;
  const isAdded = (toleration: Toleration): boolean => !had.some((other) => sameToleration(other, toleration));
  const openBefore = selects(asPlacementWouldMakeIt(old, policy, view), policy, view).length > 0;
  const byName = pod.placement.nodeName === old.placement.nodeName ? nothing : bound(placed, policy, lookups);
  return {
    ...byName,
    findings: [
      ...tolerates(placed, policy, view, isAdded),
      ...(openBefore ? [] : selects(placed, policy, view)),
      ...byName.findings,
      ...relabelled(pod, old, policy),
    ],
  };
}

/** A label that makes a pod a workflow pod, or takes it out of that: nobody has placed it for what it is now. */
function relabelled(pod: Workload, old: Workload, policy: CompiledPolicy): readonly Finding[] {
  const is = isWorkflowPod(pod, policy);
  if (is === isWorkflowPod(old, policy) || isTemplate(pod)) return [];
  return [
    {
      rule: id,
      reason: 'relabelled',
      field: 'metadata.labels',
      message: `the labels ${policy.workflowLabels.join(' and ')} make this pod ${is ? 'a workflow pod that was none when it was created' : 'no workflow pod any more'}; a change of labels moves no pod, so it is only recorded`,
      short: `the labels make it ${is ? 'a workflow pod' : 'no workflow pod any more'}`,
      atMost: 'audit',
    },
  ];
}

function sameToleration(a: Toleration, b: Toleration): boolean {
  return (
    a.key === b.key &&
    (a.operator ?? 'Equal') === (b.operator ?? 'Equal') &&
    (a.value ?? '') === (b.value ?? '') &&
    (a.effect ?? '') === (b.effect ?? '')
  );
}

/**
 * Under `enforce` the pod is judged as it stands: never trust that mutation ran. Where placement only warns or records, it
 * patches nothing, so the pod is judged as placement would have made it; and so is the pod that will be made of a template.
 */
function asPlacementWouldMakeIt(pod: Workload, policy: CompiledPolicy, view: ClusterView): Workload {
  const enforcement = policy.enforcementOf('placement', '');
  if (enforcement === 'off' || (enforcement === 'enforce' && !isTemplate(pod))) return pod;
  return { ...pod, placement: placeWorkload(pod, policy, view).placement };
}
