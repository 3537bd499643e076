import { exemptionsOfRequester } from './exemptions.ts';
import { label } from './kube/labels.ts';
import type { LivePod } from './model/placement.ts';
import type { CompiledPolicy } from './model/policy.ts';
import type { AdmissionRequest, PodSubject, Subject } from './model/request.ts';
import { type Lookups, podKey } from './model/snapshot.ts';

/*
 * The exemption of a pod that its creator had. It is about one request, the creation; the pod's later updates and its binding are requests of
 * others (the scheduler, a controller). So the webhook notes on the pod, at creation, from which rules it was exempt, and lets nobody else
 * write that note.
 */

/** Annotation of a pod: ids of the rules from which its creation was exempt, sorted and with commas between them, or `all`. */
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
): string | undefined {
  const rules = new Set<string>();
  for (const exemption of exemptionsOfRequester(request, subject, policy, nowMs)) {
    if (exemption.rules === undefined) return 'all';
    for (const rule of exemption.rules) rules.add(rule);
  }
  return rules.size === 0 ? undefined : [...rules].sort().join(',');
}

/** The API server goes by a new configuration after about 0.4 s; until then anybody could have written the annotation. */
const settlingMs = 5_000;

/**
 * Why a pod is exempt from a rule by its creation; undefined where it is not. The annotation counts only where nobody can have written it:
 * in a workflow namespace, where failurePolicy is Fail, on a pod that is younger than the webhook configuration, while the rule that keeps it
 * is enforced.
 */
export function exemptedAtCreation(
  rule: string,
  subject: Subject,
  policy: CompiledPolicy,
  lookups: Lookups,
  installedAtMs: number | undefined,
): string | undefined {
  const known = knownPod(subject, lookups);
  if (known === undefined || installedAtMs === undefined) return undefined;
  const { pod, namespace } = known;
  if (!policy.workflowNamespaces.has(namespace) || policy.enforcementOf(exemptionsId, '') !== 'enforce') {
    return undefined;
  }
  if (pod.createdAtMs === undefined || pod.createdAtMs < installedAtMs + settlingMs) return undefined;
  const value = label(pod.annotations, exemptedAnnotation);
  if (value === undefined || (value !== 'all' && !value.split(',').includes(rule))) return undefined;
  return `exempt when it was created (annotation ${exemptedAnnotation}: ${value})`;
}

/** The pod as it stands before the request. */
function knownPod(
  subject: Subject,
  lookups: Lookups,
): { readonly pod: LivePod; readonly namespace: string } | undefined {
  if (subject.kind === 'pod') {
    return subject.old === undefined ? undefined : { pod: subject.old, namespace: subject.old.namespace };
  }
  if (subject.kind === 'node') return undefined;
  const { namespace, name } = subject.binding;
  const lookup = lookups.pods.get(podKey(namespace, name));
  return lookup?.state === 'found' ? { pod: lookup.pod, namespace } : undefined;
}
