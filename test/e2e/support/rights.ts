import type { ControlPlane } from '../../cluster/control-plane.ts';
import type { KubeObject } from '../../support/fixtures.ts';

/* What an account may do by RBAC, and what it did by the API server's audit log, in the same words, so that the two can be held against each other. */

/** One verb on one resource. */
export interface Right {
  readonly verb: string;
  /** With its subresource and its group: `pods/binding`, `leases.coordination.k8s.io`. */
  readonly resource: string;
  /** Empty: any. */
  readonly name: string;
  /** Empty: every namespace, or none. */
  readonly namespace: string;
}

export const textOf = ({ verb, resource, name, namespace }: Right): string =>
  `${verb} ${resource}${name === '' ? '' : ` ${name}`}${namespace === '' ? '' : ` in ${namespace}`}`;

const resourceOf = (group: string, resource: string): string => (group === '' ? resource : `${resource}.${group}`);

/** A rule of a Role or ClusterRole. */
interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** @param namespace in which they hold; empty for the cluster. */
export function rightsIn(rules: readonly Rule[], namespace: string): readonly Right[] {
  return rules.flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) =>
          verbs.map((verb) => ({ verb, resource: resourceOf(group, resource), name, namespace })),
        ),
      ),
    ),
  );
}

/** The rights of the roles among these objects. */
export function rightsOfRoles(objects: readonly KubeObject[]): readonly Right[] {
  return objects
    .filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
    .flatMap(({ metadata, rules }) => rightsIn(Array.isArray(rules) ? rules : [], Object(metadata).namespace ?? ''));
}

const rbac = '/apis/rbac.authorization.k8s.io/v1';

/** Every right that is bound to an account by name, wherever it comes from. @param user as the API server knows it. */
export async function boundRights(plane: ControlPlane, user: string): Promise<readonly Right[]> {
  const [, , own, account] = user.split(':');
  // biome-ignore lint/suspicious/noExplicitAny: as the API server gives them.
  const bindings: readonly any[] = [
    ...(await plane.api.list(`${rbac}/clusterrolebindings`)),
    ...(await plane.api.list(`${rbac}/rolebindings`)),
  ];
  const rights: Right[] = [];
  for (const { metadata, subjects = [], roleRef } of bindings) {
    const isBound = subjects.some(
      (subject: { kind: string; name: string; namespace?: string }) =>
        subject.kind === 'ServiceAccount' && subject.name === account && subject.namespace === own,
    );
    if (!isBound) continue;
    const { namespace = '' } = metadata;
    const place = roleRef.kind === 'Role' ? `namespaces/${namespace}/roles` : 'clusterroles';
    const { body } = await plane.api.send('GET', `${rbac}/${place}/${roleRef.name}`);
    rights.push(...rightsIn(body.rules, namespace));
  }
  return rights;
}

/** What an account asked for, and what it was refused. */
export interface Requests {
  /** Each once. */
  readonly made: readonly Right[];
  readonly forbidden: readonly string[];
}

/** @param sinceMs milliseconds of the Unix epoch: accounts of that name before are others. */
export function requestsOf(plane: ControlPlane, user: string, sinceMs = 0): Requests {
  const made = new Map<string, Right>();
  const forbidden = new Set<string>();
  for (const event of plane.auditEvents()) {
    if (Object(event.user).username !== user || Date.parse(String(event.requestReceivedTimestamp)) < sinceMs) continue;
    const { apiGroup = '', resource, subresource, name = '', namespace = '' } = Object(event.objectRef);
    const right: Right = {
      verb: String(event.verb),
      resource:
        resource === undefined
          ? String(event.requestURI)
          : resourceOf(apiGroup, subresource === undefined ? resource : `${resource}/${subresource}`),
      name,
      namespace,
    };
    made.set(textOf(right), right);
    if (Object(event.responseStatus).code === 403) forbidden.add(textOf(right));
  }
  return { made: [...made.values()], forbidden: [...forbidden] };
}

/** Whether a right is to what was asked for. */
export function covers(right: Right, asked: Right): boolean {
  return (
    right.verb === asked.verb &&
    right.resource === asked.resource &&
    (right.name === '' || right.name === asked.name) &&
    (right.namespace === '' || right.namespace === asked.namespace)
  );
}

/** How rights and requests differ. All three are empty where nothing is granted that is not used, and nothing is asked for that is not granted. */
export function differences(granted: readonly Right[], { made, forbidden }: Requests): object {
  return {
    unused: granted.filter((right) => !made.some((asked) => covers(right, asked))).map(textOf),
    uncovered: made.filter((asked) => !granted.some((right) => covers(right, asked))).map(textOf),
    forbidden,
  };
}
