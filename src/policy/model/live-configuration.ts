import type { JsonObject } from './read.ts';

/** A webhook configuration of the cluster: its object, that there is none, or that it could not be read. */
export type LiveConfiguration =
  | { readonly state: 'found'; readonly object: JsonObject }
  | { readonly state: 'absent' }
  | { readonly state: 'unknown'; readonly why: string };

/** What the API server goes by, as far as a policy can be compared with it. */
export interface LiveInstallation {
  /** By kind, in the order in which they are asked. */
  readonly configurations: ReadonlyMap<string, LiveConfiguration>;
  /** Namespaces in which pods bear the workflow labels, of those that were asked for. */
  readonly labelled: LabelledNamespaces;
}

export type LabelledNamespaces =
  | { readonly state: 'found'; readonly namespaces: readonly string[] }
  | { readonly state: 'unknown'; readonly why: string };
