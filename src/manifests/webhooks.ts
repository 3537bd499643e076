import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { Phase } from '../policy/model/request.ts';
import type { BoundRule, RequestMatch } from '../policy/rule.ts';
import { changeConditions } from './conditions.ts';
import { type KubeObject, labels, productName, servicePort } from './objects.ts';
import { carriedResources, nodeResources, othersResources, type Scope, scopesOf } from './scopes.ts';

/** How long the API server waits, in seconds. A decision takes well under a millisecond; the rest is for a look-up. */
const timeouts: Readonly<Record<Phase, number>> = { mutate: 3, validate: 5 };

/**
 * The two webhook configurations for a policy, from the rules' own metadata. One without webhooks is left out.
 * @param namespace where the webhook is installed.
 */
export function buildWebhookConfigurations(
  rules: readonly BoundRule[],
  policy: CompiledPolicy,
  namespace: string,
): readonly KubeObject[] {
  for (const rule of rules) checkCarried(rule);
  return [
    buildConfiguration('mutate', rules, policy, namespace),
    buildConfiguration('validate', rules, policy, namespace),
  ].flatMap((configuration) => (configuration === undefined ? [] : [configuration]));
}

function buildConfiguration(
  phase: Phase,
  rules: readonly BoundRule[],
  policy: CompiledPolicy,
  namespace: string,
): KubeObject | undefined {
  const active = rules.filter((rule) => isActive(rule, policy, phase));
  const keys = active.flatMap(({ tolerationKeys }) => tolerationKeys?.(policy.policy) ?? []);
  const webhooks = scopesOf(policy, namespace, keys).flatMap((scope) => {
    const own = active
      .filter((rule) => isAboutOthers(rule) === (scope.others ?? false))
      .flatMap(({ on }) => on)
      .filter(({ resource, phases }) => scope.resources.includes(resource) && (phases?.includes(phase) ?? true));
    return own.length === 0 ? [] : [buildWebhook(phase, scope, own, policy, namespace)];
  });
  if (webhooks.length === 0) return undefined;
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: phase === 'mutate' ? 'MutatingWebhookConfiguration' : 'ValidatingWebhookConfiguration',
    metadata: {
      name: productName,
      labels,
      annotations: { 'cert-manager.io/inject-ca-from': `${namespace}/${productName}` },
    },
    webhooks,
  };
}

function isActive(rule: BoundRule, policy: CompiledPolicy, phase: Phase): boolean {
  return policy.enforcementOf(rule.id, '') !== 'off' && rule.phases(policy.policy).includes(phase);
}

/** Whether a rule is about pods that are no workflow pods. */
function isAboutOthers({ tolerationKeys }: BoundRule): boolean {
  return tolerationKeys !== undefined;
}

/** A rule on any other resource would be registered nowhere and enforce nothing. */
function checkCarried(rule: BoundRule): void {
  const { id, on } = rule;
  const carried = isAboutOthers(rule) ? othersResources : carriedResources;
  const lost = on.find(({ resource }) => !carried.has(resource));
  if (lost !== undefined) {
    throw new Error(
      `rule ${id} reads ${lost.resource}, which no webhook carries: give it a scope in manifests/scopes.ts`,
    );
  }
}

/** The rules of a webhook: for each resource the operations that any of our rules reads; resources that are read alike stand together. */
function mergedRules(scope: Scope, matches: readonly RequestMatch[]): readonly KubeObject[] {
  const alike = new Map<
    string,
    { readonly group: string; readonly operations: readonly string[]; readonly resources: string[] }
  >();
  for (const resource of new Set(matches.map((match) => match.resource))) {
    const own = matches.filter((match) => match.resource === resource);
    const group = own[0]?.group ?? '';
    const operations = [...new Set(own.flatMap((match) => match.operations))];
    const key = `${group} ${operations.join()}`;
    const entry = alike.get(key) ?? { group, operations, resources: [] };
    entry.resources.push(resource);
    alike.set(key, entry);
  }
  return [...alike.values()].map(({ group, operations, resources }) => ({
    apiGroups: [group],
    apiVersions: ['v1'],
    resources,
    operations,
    scope: scope.resources === nodeResources ? 'Cluster' : 'Namespaced',
  }));
}

function buildWebhook(
  phase: Phase,
  scope: Scope,
  matches: readonly RequestMatch[],
  policy: CompiledPolicy,
  namespace: string,
): KubeObject {
  const conditions = [
    ...(scope.conditions ?? []),
    ...((phase === 'mutate' ? scope.mutateConditions : undefined) ?? []),
    ...changeConditions(matches, policy),
  ];
  return {
    name: `${scope.name}.${phase}.osmo-admission`,
    admissionReviewVersions: ['v1'],
    clientConfig: { service: { name: productName, namespace, path: `/${phase}`, port: servicePort } },
    failurePolicy: scope.failurePolicy,
    matchPolicy: 'Equivalent',
    // An audit record is the only thing a request leaves behind, and a dry run's says that it was one.
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds: scope.timeout ?? timeouts[phase],
    ...(phase === 'mutate' && { reinvocationPolicy: 'IfNeeded' }),
    ...scope.selectors,
    rules: mergedRules(scope, matches),
    ...(conditions.length > 0 && { matchConditions: conditions }),
  };
}
