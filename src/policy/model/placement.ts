import type { Labels } from '../kube/labels.ts';
import type { NodeSelectorTerm } from '../kube/node-selector.ts';
import type { Toleration } from '../kube/taint.ts';
import type { ClaimReference } from './claims.ts';

/** Where a pod may land, in the scheduler's terms. Rules never read a Pod: they read this. */
export interface Placement {
  /** `spec.nodeName`: the scheduler is skipped. */
  readonly nodeName: string | undefined;
  readonly nodeSelector: Labels;
  /** Terms of the required node affinity, ORed; undefined where there is none. */
  readonly terms: readonly NodeSelectorTerm[] | undefined;
  readonly tolerations: readonly Toleration[];
}

/** What a pod asks for, beside its placement: what profiles match on. */
export interface Demands {
  /** Names of the resources that a container, init container or the pod itself requests or limits above zero. */
  readonly resources: readonly string[];
  /** Resource claims that the pod refers to; which device classes they ask for, the view knows. */
  readonly claims: readonly ClaimReference[];
  readonly schedulerName: string;
}

/** A pod, or the pod that would be made of a template, as rules see it. */
export interface Workload {
  /** Path of the pod inside the object: empty for a Pod, `spec.template.` for a Deployment. Messages put it before field paths. */
  readonly path: string;
  readonly name: string;
  /** `metadata.generateName`; undefined where the pod was given its name. */
  readonly generateName: string | undefined;
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly placement: Placement;
  readonly demands: Demands;
  /** Whether `spec.schedulingGates` holds any: the scheduler leaves the pod alone, and its placement may still be tightened. */
  readonly gated: boolean;
  /** Of `metadata.ownerReferences` the controller, which whoever makes the pod may write; undefined without one, and in a template. */
  readonly controller: OwnerKind | undefined;
}

/** What an owner is, of its reference. */
export interface OwnerKind {
  readonly apiVersion: string;
  readonly kind: string;
}

/** A pod's assignment to a node: what the scheduler writes, or whoever may. */
export interface Binding {
  /** The pod. */
  readonly name: string;
  readonly namespace: string;
  /** `target.name`. */
  readonly nodeName: string;
  /** Written over the pod's own. */
  readonly labels: Labels;
  readonly annotations: Labels;
}

/** What is asked of a live pod: no more than its metadata. */
export interface LivePod {
  /** `metadata.generateName`; undefined where the pod was given its name. */
  readonly generateName: string | undefined;
  readonly labels: Labels;
  readonly annotations: Labels;
}
