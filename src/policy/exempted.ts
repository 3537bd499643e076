import { exemptionsOfRequester } from './exemptions.ts';
import { label } from './kube/labels.ts';
import type { NoteKeeper } from './model/notes.ts';
import type { LivePod } from './model/placement.ts';
import type { CompiledPolicy } from './model/policy.ts';
import type { AdmissionRequest, PodSubject, Subject } from './model/request.ts';
import { type Lookups, podKey } from './model/snapshot.ts';

/*
 * The exemption of a pod that its creator had. It is about one request, the creation; the pod's later updates and its binding are requests of
 * others (the scheduler, a controller). So the webhook notes on the pod, at creation, from which rules it was exempt, and lets nobody else
 * write that note.
 */

/** Annotation of a pod: ids of the rules from which its creation was exempt, sorted and with commas between them, or `all`; a dot; a signature. */
export const exemptedAnnotation = 'osmo-admission/exempted';

/** Id of the rule that keeps the annotation as it was computed. */
export const exemptionsId = 'exemptions';

/** Keys of a Binding that would overwrite what OSMO or the product wrote on the pod. */
export const guardedPrefixes = ['osmo-admission/', 'osmo.'];

/** Whether a Binding may not bear a key: one of the prefixes, or a label that makes a workflow pod. */
export function isGuardedKey(key: string, { workflowLabels }: CompiledPolicy): boolean {
  return workflowLabels.includes(key) || guardedPrefixes.some((prefix) => key.startsWith(prefix));
}

/** What the annotation of a pod that is created must be; undefined for none. An exemption by namespace alone needs no note. */
export function exemptedValue(
  request: Pick<AdmissionRequest, 'requester'>,
  subject: PodSubject,
  policy: CompiledPolicy,
  nowMs: number,
  notes: NoteKeeper,
): string | undefined {
  const found = exemptionsOfRequester(request, subject, policy, nowMs);
  if (found.length === 0) return undefined;
  const named = new Set(found.flatMap(({ rules = [] }) => rules));
  const rules = found.some((exemption) => exemption.rules === undefined) ? 'all' : [...named].sort().join(',');
  return `${rules}.${notes.sign(signedText(subject.pod, subject.pod.namespace, subject.pod.name, rules))}`;
}

/** What a note says, whoever signed it: ids of rules, or `all`. */
export function rulesOf(note: string | undefined): string | undefined {
  return note?.split('.')[0];
}

/** Whether a pod that is created bears a note that this replica would believe later. */
export function isBelieved({ pod }: PodSubject, notes: NoteKeeper): boolean {
  const [rules = '', signature = ''] = (label(pod.annotations, exemptedAnnotation) ?? '').split('.');
  return notes.verify(signedText(pod, pod.namespace, pod.name, rules), signature);
}

/** While mutating, a pod that is given its name by the API server has none yet: then what it is made of stands for it. */
function signedText(
  { generateName }: Pick<LivePod, 'generateName'>,
  namespace: string,
  name: string,
  rules: string,
): string {
  return JSON.stringify([namespace, generateName === undefined ? name : `${generateName}*`, rules]);
}

/**
 * Why a pod is exempt from a rule by its creation; undefined where it is not. The note counts in workflow namespaces alone, and only where it
 * is ours.
 */
export function exemptedAtCreation(
  rule: string,
  subject: Subject,
  policy: CompiledPolicy,
  lookups: Lookups,
  notes: NoteKeeper,
): string | undefined {
  const known = knownPod(subject, lookups);
  if (known === undefined || !policy.workflowNamespaces.has(known.namespace)) return undefined;
  const { pod, namespace, name } = known;
  const [rules = '', signature = ''] = (label(pod.annotations, exemptedAnnotation) ?? '').split('.');
  if (rules !== 'all' && !rules.split(',').includes(rule)) return undefined;
  if (!notes.verify(signedText(pod, namespace, name, rules), signature)) return undefined;
  return `exempt when it was created (annotation ${exemptedAnnotation}: ${rules})`;
}

/** The pod as it stands before the request. */
function knownPod(
  subject: Subject,
  lookups: Lookups,
): { readonly pod: LivePod; readonly namespace: string; readonly name: string } | undefined {
  if (subject.kind === 'pod') {
    return subject.old === undefined
      ? undefined
      : { pod: subject.old, namespace: subject.old.namespace, name: subject.old.name };
  }
  if (subject.kind === 'node') return undefined;
  const { namespace, name } = subject.binding;
  const lookup = lookups.pods.get(podKey(namespace, name));
  return lookup?.state === 'found' ? { pod: lookup.pod, namespace, name } : undefined;
}
