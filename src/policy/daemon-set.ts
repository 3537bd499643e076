import type { Workload } from './model/placement.ts';
import type { AdmissionRequest } from './model/request.ts';

/*
 * Sources: the list of bootstrap roles, system:controller:daemon-set-controller (kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles),
 * and --use-service-account-credentials of kube-controller-manager, without which it makes every pod under its own name.
 */
const controllers: readonly string[] = [
  'system:serviceaccount:kube-system:daemon-set-controller',
  'system:kube-controller-manager',
];

/**
 * A pod that a DaemonSet makes: its owner reference says so, and the DaemonSet controller makes it. The reference alone proves nothing: whoever
 * makes a pod may write it.
 */
export function isDaemonSetPod({ controller }: Workload, { requester }: AdmissionRequest): boolean {
  return (
    controller?.kind === 'DaemonSet' && controller.apiVersion === 'apps/v1' && controllers.includes(requester.username)
  );
}
