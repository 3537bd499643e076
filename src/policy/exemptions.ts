import { type Labels, label } from './kube/labels.ts';
import type { CompiledExemption, CompiledPolicy, Exemption, Policy } from './model/policy.ts';
import { type AdmissionRequest, type Subject, serviceAccountUser } from './model/request.ts';
import { type Lookups, noLookups, podKey } from './model/snapshot.ts';
import type { Contradiction } from './rule.ts';

const dayMs = 24 * 60 * 60 * 1000;

/** @param ownNamespace the webhook's own namespace, always exempt: it must never gate its own pods. */
export function compileExemptions(policy: Policy, ownNamespace: string | undefined): readonly CompiledExemption[] {
  const own: readonly Exemption[] =
    ownNamespace === undefined ? [] : [{ reason: "the webhook's own namespace", namespaces: [ownNamespace] }];
  return [...own, ...policy.exemptions].map((exemption) => ({
    exemption,
    endsAtMs: exemption.until === undefined ? undefined : endOfDay(exemption.until),
  }));
}

/** The end of a day `YYYY-MM-DD` in UTC, exclusive, in milliseconds of the Unix epoch; NaN where there is no such day. */
export function endOfDay(day: string): number {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day);
  if (parts === null) return Number.NaN;
  const start = Date.UTC(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3]));
  // Date.UTC rolls 31 April over to 1 May: such a day does not exist.
  return new Date(start).toISOString().slice(0, 10) === day ? start + dayMs : Number.NaN;
}

/** False once the last day of an exemption has ended. */
export function isInForce({ endsAtMs }: CompiledExemption, nowMs: number): boolean {
  return endsAtMs === undefined || nowMs < endsAtMs;
}

/**
 * The first exemption that names this request for a rule. Fields of an entry are ANDed, entries ORed; all of the requester and
 * exact, no globs. A node's own labels never count.
 */
export function exemptionFor(
  rule: string,
  request: Pick<AdmissionRequest, 'requester'>,
  subject: Subject,
  policy: CompiledPolicy,
  nowMs: number,
  lookups: Lookups = noLookups,
): Exemption | undefined {
  return policy.exemptions.find((entry) => {
    const { exemption } = entry;
    if (exemption.rules !== undefined && !exemption.rules.includes(rule)) return false;
    return names(entry, request, subject, policy, nowMs, lookups);
  })?.exemption;
}

/** The exemptions that name this request by who makes it: those that a pod takes with it from its creation. */
export function exemptionsOfRequester(
  request: Pick<AdmissionRequest, 'requester'>,
  subject: Subject,
  policy: CompiledPolicy,
  nowMs: number,
): readonly Exemption[] {
  return policy.exemptions
    .filter((entry) => isByRequester(entry.exemption) && names(entry, request, subject, policy, nowMs, noLookups))
    .map(({ exemption }) => exemption);
}

function isByRequester({ users, groups, serviceAccounts }: Exemption): boolean {
  return (users ?? groups ?? serviceAccounts) !== undefined;
}

function names(
  entry: CompiledExemption,
  request: Pick<AdmissionRequest, 'requester'>,
  subject: Subject,
  policy: CompiledPolicy,
  nowMs: number,
  lookups: Lookups,
): boolean {
  const { exemption } = entry;
  return (
    isInForce(entry, nowMs) && namesRequester(exemption, request) && namesSubject(exemption, subject, policy, lookups)
  );
}

function namesRequester(
  { users, groups, serviceAccounts }: Exemption,
  { requester }: Pick<AdmissionRequest, 'requester'>,
): boolean {
  if (users !== undefined && !users.includes(requester.username)) return false;
  if (groups !== undefined && !groups.some((group) => requester.groups.includes(group))) return false;
  if (serviceAccounts === undefined) return true;
  return serviceAccounts.some((account) => requester.username === serviceAccountUser(account));
}

function namesSubject(exemption: Exemption, subject: Subject, policy: CompiledPolicy, lookups: Lookups): boolean {
  const { namespaces, podSelector, nodes, serviceAccounts } = exemption;
  if (subject.kind === 'node') {
    return (
      namespaces === undefined &&
      podSelector === undefined &&
      (nodes === undefined || nodes.includes(subject.node.name))
    );
  }
  if (nodes !== undefined) return false;
  const { namespace } = subject.kind === 'pod' ? subject.pod : subject.binding;
  if (namespaces !== undefined && !namespaces.includes(namespace)) return false;
  if (podSelector === undefined) return true;
  // Whoever makes a pod writes its labels: in a workflow namespace they count only together with a service account.
  if (policy.workflowNamespaces.has(namespace) && serviceAccounts === undefined) return false;
  const labels = labelsOf(subject, lookups);
  return labels !== undefined && Object.entries(podSelector).every(([key, value]) => label(labels, key) === value);
}

/** Labels of the pod before a change of it: a label that the change itself brings makes no exemption. Undefined where nobody has looked. */
function labelsOf(subject: Exclude<Subject, { kind: 'node' }>, lookups: Lookups): Labels | undefined {
  if (subject.kind === 'pod') return (subject.old ?? subject.pod).labels;
  const lookup = lookups.pods.get(podKey(subject.binding.namespace, subject.binding.name));
  return lookup?.state === 'found' ? lookup.pod.labels : undefined;
}

/** Exemptions that name nobody, whoever writes labels, or a workflow namespace whole. */
export function checkExemptions(policy: Policy): readonly Contradiction[] {
  const found: Contradiction[] = [];
  policy.exemptions.forEach((entry, index) => {
    const path = ['exemptions', index];
    const { namespaces, podSelector, users, groups, serviceAccounts, nodes } = entry;
    const byRequester = users ?? groups ?? serviceAccounts;
    if (byRequester === undefined && namespaces === undefined && nodes === undefined) {
      found.push({
        path,
        message:
          podSelector === undefined
            ? 'this exemption names nobody, so it would exempt everything: give namespaces, users, groups, serviceAccounts or nodes'
            : 'an exemption by podSelector alone is refused, because whoever makes a pod writes its labels: add namespaces or serviceAccounts',
      });
    }
    if (nodes !== undefined && (namespaces !== undefined || podSelector !== undefined)) {
      found.push({
        path: [...path, 'nodes'],
        message:
          'an exemption names nodes or pods (namespaces, podSelector), not both: no request has both; write two entries',
      });
    }
    namespaces?.forEach((namespace, at) => {
      const workflow = policy.workflowPods.namespaces.indexOf(namespace);
      if (workflow === -1 || byRequester !== undefined) return;
      found.push({
        path: [...path, 'namespaces', at],
        other: ['workflowPods', 'namespaces', workflow],
        message: `${namespace} is a workflow namespace and exempt: remove one, or exempt a service account in it (add serviceAccounts)`,
      });
    });
  });
  return found;
}
