import { label } from './kube/labels.ts';
import type { Workload } from './model/placement.ts';
import type { CompiledPolicy } from './model/policy.ts';
import type { AdmissionRequest, PodSubject } from './model/request.ts';

/**
 * A workflow pod is in a workflow namespace, or bears all the workflow labels. The namespace alone is enough: a label that a user
 * can leave off must not be a way out.
 */
export function isWorkflowPod(pod: Pick<Workload, 'namespace' | 'labels'>, policy: CompiledPolicy): boolean {
  if (policy.workflowNamespaces.has(pod.namespace)) return true;
  return policy.workflowLabels.length > 0 && policy.workflowLabels.every((key) => label(pod.labels, key) !== undefined);
}

/** An update is about a workflow pod if it was one or becomes one: a label that goes must not be a way out. */
export function isWorkflowSubject({ pod, old }: PodSubject, policy: CompiledPolicy): boolean {
  return isWorkflowPod(pod, policy) || (old !== undefined && isWorkflowPod(old, policy));
}

const mirrorAnnotation = 'kubernetes.io/config.mirror';

/**
 * A true mirror pod: the annotation, made by the kubelet of the very node it is bound to. The annotation alone proves nothing:
 * any user may write it at creation.
 */
export function isMirrorPod(pod: Workload, request: AdmissionRequest): boolean {
  return (
    label(pod.annotations, mirrorAnnotation) !== undefined &&
    pod.placement.nodeName !== undefined &&
    request.requester.username === `system:node:${pod.placement.nodeName}`
  );
}
