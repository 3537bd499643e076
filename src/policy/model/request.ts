import type { Node } from './node.ts';
import type { Workload } from './placement.ts';

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
  /** What is judged; undefined where no rule reads this resource and operation. */
  readonly subject: Subject | undefined;
  /** The raw object, which patches must be valid on. Rules do not read it. */
  readonly object: unknown;
  /** The raw object before an UPDATE. */
  readonly oldObject: unknown;
}

/** `old` is the object before an UPDATE. */
export type Subject =
  | { readonly kind: 'pod'; readonly pod: Workload }
  | { readonly kind: 'node'; readonly node: Node; readonly old: Node | undefined };
