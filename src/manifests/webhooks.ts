import { verifiedAnnotation } from '../policy/model/node.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { baseOf, type Phase } from '../policy/model/request.ts';
import type { BoundRule, Change, RequestMatch } from '../policy/rule.ts';
import { type KubeObject, labels, productName, servicePort } from './objects.ts';

/*
 * Which requests reach us, and what happens when we are away. Fail only for pods of workflow namespaces: a deadlocked cluster is worse
 * than an unjudged node. Selectors are disjoint, so that no request matches two validating webhooks of ours: of two denials kubectl
 * shows one.
 */

/** Kubernetes writes it on each namespace, and nobody can move it. */
const namespaceNameLabel = 'kubernetes.io/metadata.name';

/** How long the API server waits, in seconds. A decision takes well under a millisecond; the rest is for a look-up. */
const timeoutSeconds: Readonly<Record<Phase, number>> = { mutate: 3, validate: 5 };

interface Scope {
  /** First segment of the webhook's name. */
  readonly name: string;
  readonly resource: string;
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly selectors: KubeObject;
}

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
  const matches = active.flatMap(({ on }) => on).filter(({ phases }) => phases?.includes(phase) ?? true);
  const webhooks = scopesOf(policy, namespace).flatMap((scope) => {
    const own = matches.filter(({ resource }) => baseOf(resource) === scope.resource);
    return own.length === 0 ? [] : [buildWebhook(phase, scope, own, namespace)];
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

/** Resources that some scope carries. One that a policy leaves without a scope (no workflow namespaces, say) still counts. */
const carriedResources: ReadonlySet<string> = new Set(['pods', 'nodes']);

/** A rule on any other resource would be registered nowhere and enforce nothing. */
function checkCarried({ id, on }: BoundRule): void {
  const lost = on.find(({ resource }) => !carriedResources.has(baseOf(resource)));
  if (lost !== undefined) {
    throw new Error(
      `rule ${id} reads ${lost.resource}, which no webhook carries: give it a scope in manifests/webhooks.ts`,
    );
  }
}

/** Every scope that a policy makes: together they hold each request that some rule may judge, each exactly once. */
function scopesOf(policy: CompiledPolicy, namespace: string): readonly Scope[] {
  const { namespaces } = policy.policy.workflowPods;
  // The webhook must never gate its own pods.
  const gated = namespaces.filter((name) => name !== namespace);
  const inNamespaces = (operator: 'In' | 'NotIn', values: readonly string[]): KubeObject => ({
    namespaceSelector: { matchExpressions: [{ key: namespaceNameLabel, operator, values }] },
  });
  const scopes: Scope[] = [];
  if (gated.length > 0) {
    const failurePolicy = policy.policy.preset === 'monitor' ? 'Ignore' : 'Fail';
    scopes.push({ name: 'pods', resource: 'pods', failurePolicy, selectors: inNamespaces('In', gated) });
  }
  if (policy.workflowLabels.length > 0) {
    scopes.push({
      name: 'pods-elsewhere',
      resource: 'pods',
      failurePolicy: 'Ignore',
      selectors: {
        ...inNamespaces('NotIn', [...new Set([...namespaces, namespace])]),
        // Outside workflow namespaces only the labels make a workflow pod.
        objectSelector: { matchExpressions: policy.workflowLabels.map((key) => ({ key, operator: 'Exists' })) },
      },
    });
  }
  scopes.push({ name: 'nodes', resource: 'nodes', failurePolicy: 'Ignore', selectors: {} });
  return scopes;
}

/** The rules of a webhook: for the resource and each subresource the operations that any of our rules reads. */
function mergedRules(scope: Scope, matches: readonly RequestMatch[]): readonly KubeObject[] {
  const resources = [...new Set(matches.map(({ resource }) => resource))];
  return resources.map((resource) => {
    const own = matches.filter((match) => match.resource === resource);
    return {
      apiGroups: [...new Set(own.map(({ group }) => group))],
      apiVersions: ['v1'],
      resources: [resource],
      operations: [...new Set(own.flatMap(({ operations }) => operations))],
      scope: scope.resource === 'nodes' ? 'Cluster' : 'Namespaced',
    };
  });
}

/**
 * CEL that is true where an UPDATE makes the change. `.?` everywhere: an optional field that is compared without it is an error where it is
 * missing, and then Ignore skips the webhook without a word.
 */
const changed: Readonly<Record<Change, string>> = {
  labels: 'object.metadata.?labels != oldObject.metadata.?labels',
  verified: `object.metadata.?annotations[?"${verifiedAnnotation}"] != oldObject.metadata.?annotations[?"${verifiedAnnotation}"]`,
  // On a status write the API server drops changes of the spec, which the review still shows while mutating.
  taints:
    'request.?subResource.orValue("") == "" && object.spec.?taints.orValue([]).filter(t, !t.key.startsWith("node.kubernetes.io/")) != oldObject.spec.?taints.orValue([]).filter(t, !t.key.startsWith("node.kubernetes.io/"))',
};

/** Keeps out what changes nothing that a rule reads: heartbeats above all, whoever sends them. */
function matchConditions(matches: readonly RequestMatch[]): KubeObject {
  const updates = matches.filter(({ operations }) => operations.includes('UPDATE'));
  if (updates.length === 0 || updates.some(({ changes }) => changes === undefined)) return {};
  const terms = [...new Set(updates.flatMap(({ changes = [] }) => changes))].map((change) => `(${changed[change]})`);
  return {
    matchConditions: [
      { name: 'changes-what-is-judged', expression: ['request.operation != "UPDATE"', ...terms].join(' || ') },
    ],
  };
}

function buildWebhook(phase: Phase, scope: Scope, matches: readonly RequestMatch[], namespace: string): KubeObject {
  return {
    name: `${scope.name}.${phase}.osmo-admission`,
    admissionReviewVersions: ['v1'],
    clientConfig: { service: { name: productName, namespace, path: `/${phase}`, port: servicePort } },
    failurePolicy: scope.failurePolicy,
    matchPolicy: 'Equivalent',
    // An audit record is the only thing a request leaves behind, and a dry run's says that it was one.
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds: timeoutSeconds[phase],
    ...(phase === 'mutate' && { reinvocationPolicy: 'IfNeeded' }),
    ...scope.selectors,
    rules: mergedRules(scope, matches),
    ...matchConditions(matches),
  };
}
