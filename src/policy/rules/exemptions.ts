import { exemptedAnnotation, exemptedValue, exemptionsId, isBelieved, isGuardedKey, rulesOf } from '../exempted.ts';
import { label } from '../kube/labels.ts';
import { clip } from '../kube/text.ts';
import type { Edit } from '../model/edit.ts';
import type { Finding } from '../model/finding.ts';
import type { Binding } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { isTemplate, type PodSubject } from '../model/request.ts';
import { defineRule, enforcementSchema, nothing, type RuleInput, type RuleResult } from '../rule.ts';
import { isWorkflowSubject } from '../workflow-pod.ts';

/*
 * Keeps the note of a pod's exemption true. It is written when the pod is created, and nobody writes it otherwise: not its author, not a hook
 * after ours, not a kubelet through the status, not a Binding, whose labels and annotations the API server writes over the pod's.
 *
 * Edited: metadata.annotations[osmo-admission/exempted] of a pod that is created; keys of a Binding that would overwrite what the product or
 * OSMO goes by.
 */

interface Settings {
  readonly enforcement: 'enforce' | 'warn' | 'audit' | 'off';
}

const id = exemptionsId;

export const exemptions = defineRule<Settings, undefined>({
  id,
  summary: 'A pod bears the note of its creator’s exemption, and nobody forges it.',
  on: [
    { group: '', resource: 'pods', operations: ['CREATE'] },
    { group: '', resource: 'pods', operations: ['UPDATE'], phases: ['validate'], changes: ['exempted'] },
    { group: '', resource: 'pods/status', operations: ['UPDATE'], phases: ['validate'], changes: ['exempted'] },
    { group: '', resource: 'pods/binding', operations: ['CREATE'] },
    { group: '', resource: 'bindings', operations: ['CREATE'] },
  ],
  settings: {
    defaults: { enforcement: 'enforce' },
    schema: {
      type: 'object',
      additionalProperties: false,
      description: 'Keeps the annotation by which a pod carries its creator’s exemption.',
      properties: {
        enforcement: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'enforce = deny whoever forges the annotation; below it no pod gets the annotation, and an exempt user’s pod is judged when it is bound.',
        ),
      },
    },
  },
  reasons: {
    forged: {
      summary:
        'The annotation osmo-admission/exempted would be other than what the webhook computed when the pod was created.',
      fix: 'Leave the annotation alone: remove it from the manifest. Whoever should be exempt is named under exemptions in the policy file.',
    },
    'binding-keys': {
      summary:
        'A Binding bears labels or annotations of OSMO or of this product, which would be written over the pod’s.',
      fix: 'Leave labels and annotations off the Binding. The mutating webhook strips them; see why it did not run.',
    },
  },
  compile: () => undefined,
  check: () => [],
  enforcement: ({ enforcement }) => enforcement,
  needs: () => [],
  phases: () => ['mutate', 'validate'],
  judges: (subject, policy) =>
    subject.kind === 'binding' ||
    (subject.kind === 'pod' && !isTemplate(subject.pod) && isWorkflowSubject(subject, policy)),
  exemptible: false,
  evaluate({ phase, request, subject, policy, nowMs, notes }: RuleInput): RuleResult {
    if (policy.enforcementOf(id, '') !== 'enforce' && phase === 'mutate') return nothing;
    if (subject.kind === 'binding') return judgeBinding(phase, subject.binding, policy);
    if (subject.kind !== 'pod') return nothing;
    const computed = computedValue(subject, request, policy, nowMs, notes);
    const written = label(subject.pod.annotations, exemptedAnnotation);
    if (written === computed) return nothing;
    if (phase === 'validate') {
      // A creation without the note has fewer rights, not more: mutation and validation may have gone by two policies.
      if (subject.old === undefined && written === undefined) return nothing;
      /*
       * Two replicas may hold different keys for a while. What the note must say follows from who creates the pod, so its signature adds nothing
       * here: it is asked for when the note is to count, by a request of somebody else.
       */
      if (subject.old === undefined && rulesOf(written) === rulesOf(computed)) {
        return isBelieved(subject, notes) ? nothing : { findings: [], edits: [], notes: [unbelieved] };
      }
      return { findings: [forged(written, computed)], edits: [], notes: [] };
    }
    if (subject.old !== undefined) return nothing;
    const edit: Edit =
      computed === undefined
        ? { edit: 'removeAnnotation', key: exemptedAnnotation }
        : { edit: 'setAnnotation', key: exemptedAnnotation, value: computed };
    return { findings: [], edits: [edit], notes: [] };
  },
});

const unbelieved = `${exemptedAnnotation} is signed with another key than this replica of the webhook has: until it has that key, the pod’s updates and binding are judged as anyone’s`;

/** At creation by who creates it; afterwards what it was. */
function computedValue(
  subject: PodSubject,
  request: RuleInput['request'],
  policy: CompiledPolicy,
  nowMs: number,
  notes: RuleInput['notes'],
): string | undefined {
  return subject.old === undefined
    ? exemptedValue(request, subject, policy, nowMs, notes)
    : label(subject.old.annotations, exemptedAnnotation);
}

function forged(written: string | undefined, computed: string | undefined): Finding {
  const field = `metadata.annotations[${exemptedAnnotation}]`;
  const shown = (value: string | undefined): string =>
    value === undefined ? 'absent' : JSON.stringify(clip(value, 60));
  return {
    rule: id,
    reason: 'forged',
    field,
    message: `${field} would be ${shown(written)}, but who created the pod makes it ${shown(computed)}: leave this annotation alone, the webhook writes it when a pod is created`,
    short: `${exemptedAnnotation} is the webhook’s to write`,
  };
}

function judgeBinding(phase: RuleInput['phase'], { labels, annotations }: Binding, policy: CompiledPolicy): RuleResult {
  const guarded = (keys: object): readonly string[] =>
    Object.keys(keys)
      .filter((key) => isGuardedKey(key, policy))
      .sort();
  const [inLabels, inAnnotations] = [guarded(labels), guarded(annotations)];
  if (inLabels.length + inAnnotations.length === 0) return nothing;
  if (phase === 'mutate') {
    return {
      findings: [],
      edits: [
        ...inLabels.map((key): Edit => ({ edit: 'removeLabel', key })),
        ...inAnnotations.map((key): Edit => ({ edit: 'removeAnnotation', key })),
      ],
      notes: [],
    };
  }
  const field =
    inLabels.length > 0
      ? `metadata.labels[${clip(inLabels[0] ?? '', 80)}]`
      : `metadata.annotations[${clip(inAnnotations[0] ?? '', 80)}]`;
  const more = inLabels.length + inAnnotations.length - 1;
  return {
    findings: [
      {
        rule: id,
        reason: 'binding-keys',
        field,
        message: `${field} of the Binding${more > 0 ? ` and ${more} more` : ''} would be written over the pod’s own: leave it off the Binding`,
        short: `${field} of the Binding overwrites the pod’s`,
      },
    ],
    edits: [],
    notes: [],
  };
}
