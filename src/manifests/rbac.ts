import type { Features } from './features.ts';
import { type Grant, grants, type Place } from './grants.ts';
import { eventNamespace, type KubeObject, metadata, productName } from './objects.ts';

/** A role, and the namespace that it holds in; undefined for the cluster. */
export interface Role {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly grants: readonly Grant[];
}

/** Every role that some installation has, with all that it may ever hold. */
export function rolesOf(namespace: string): readonly Role[] {
  const role = (place: Place, name: string, where?: string): Role => ({
    name,
    namespace: where,
    grants: grants.filter((grant) => grant.place === place),
  });
  return [
    role('cluster', productName),
    role('pod-search', `${productName}-pod-search`),
    role('namespace', productName, namespace),
    // In another namespace than the rest, unless that is where the webhook runs: hence a name of its own.
    role('events', `${productName}-events`, eventNamespace),
  ];
}

/** The roles of an installation with what it uses, each bound to the service account. One that would grant nothing is left out. */
export function buildRbac(features: Features, namespace: string): readonly KubeObject[] {
  return rolesOf(namespace).flatMap((role) => {
    const rules = role.grants.filter(({ when }) => when(features)).map(({ rights }) => rights);
    return rules.length === 0 ? [] : [buildRole(role, rules), bindRole(role, namespace)];
  });
}

export function buildRole(role: Role, rules: unknown): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: role.namespace === undefined ? 'ClusterRole' : 'Role',
    metadata: metadata(role.name, role.namespace),
    rules,
  };
}

/** Gives the service account a role. @param namespace of the service account. */
export function bindRole(role: Role, namespace: string): KubeObject {
  const kind = role.namespace === undefined ? 'ClusterRole' : 'Role';
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: `${kind}Binding`,
    metadata: metadata(role.name, role.namespace),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: role.name },
    subjects: [{ kind: 'ServiceAccount', name: productName, namespace }],
  };
}
