import type { Node } from './node.ts';
import type { Binding, Workload } from './placement.ts';

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';

/** Which of the two admission phases asks. Mutation never denies; validation never patches. */
export type Phase = 'mutate' | 'validate';

export interface Requester {
  readonly username: string;
  readonly groups: readonly string[];
}

/** One admission request, parsed: the fields that rules read and nothing else. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly operation: Operation;
  /** Group, version and plural resource as the webhook configuration matched them; `group` is empty for core. */
  readonly resource: { readonly group: string; readonly version: string; readonly resource: string };
  readonly subResource: string;
  readonly kind: string;
  /** Empty while mutating a pod that has only a generateName. */
  readonly name: string;
  readonly namespace: string;
  readonly requester: Requester;
  readonly dryRun: boolean;
  /** What is judged; undefined where no rule reads this resource and operation, and where the object was not read. */
  readonly subject: Subject | undefined;
  /** Why the object was not read: the review is more than is parsed, and in which way. */
  readonly excess?: string;
  /** The raw object, which patches must be valid on. Rules do not read it. */
  readonly object: unknown;
  /** The raw object before an UPDATE. */
  readonly oldObject: unknown;
}

/** What rules judge. `old` is the object before an UPDATE. */
export type Subject =
  | PodSubject
  | { readonly kind: 'binding'; readonly binding: Binding }
  | { readonly kind: 'node'; readonly node: Node; readonly old: Node | undefined };

/** A pod, or a template: then `pod.path` is not empty, and it is the pod that would be made of it. */
export interface PodSubject {
  readonly kind: 'pod';
  readonly pod: Workload;
  readonly old: Workload | undefined;
}

/** Name of what is judged, as far as the object says it. */
export function nameOf(subject: Subject): string {
  return subject.kind === 'pod' ? subject.pod.name : subject.kind === 'node' ? subject.node.name : subject.binding.name;
}

/** True of a workload template: no pod yet. */
export function isTemplate({ path }: Workload): boolean {
  return path !== '';
}

/** The resource with its subresource as Kubernetes writes it: `nodes`, `nodes/status`. */
export function pathOf({ resource, subResource }: Pick<AdmissionRequest, 'resource' | 'subResource'>): string {
  return subResource === '' ? resource.resource : `${resource.resource}/${subResource}`;
}

/** `nodes` of `nodes/status`. */
export function baseOf(path: string): string {
  return path.split('/')[0] ?? path;
}

/** Kubelets authenticate with this group (kubernetes.io/docs/reference/access-authn-authz/node). */
export function isKubelet({ groups }: Requester): boolean {
  return groups.includes('system:nodes');
}

/** User name of a service account, given as `namespace/name`. */
export function serviceAccountUser(account: string): string {
  return `system:serviceaccount:${account.replace('/', ':')}`;
}
