import type { Requirement } from '../kube/node-selector.ts';
import type { Taint, Toleration } from '../kube/taint.ts';

/** A change to an object, as data: `toJsonPatch` turns edits into operations that are valid on that very object. */
export type Edit =
  | { readonly edit: 'addToleration'; readonly toleration: Toleration }
  | { readonly edit: 'setNodeSelector'; readonly key: string; readonly value: string }
  /** `term` is the index of a required node affinity term, or `new` where the pod has no required node affinity. */
  | { readonly edit: 'addTermExpression'; readonly term: number | 'new'; readonly expression: Requirement }
  | { readonly edit: 'addTaint'; readonly taint: Taint }
  | { readonly edit: 'setLabel' | 'setAnnotation'; readonly key: string; readonly value: string }
  | { readonly edit: 'removeLabel' | 'removeAnnotation'; readonly key: string };

/** One operation of RFC 6902. The product only ever adds, but for its own mark. */
export type PatchOperation =
  | { readonly op: 'add'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };
