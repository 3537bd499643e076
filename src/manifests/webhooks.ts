import { exemptedAnnotation, guardedPrefixes } from '../policy/exempted.ts';
import { verifiedAnnotation } from '../policy/model/node.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { workloads } from '../policy/model/read-request.ts';
import type { Phase } from '../policy/model/request.ts';
import type { BoundRule, Change, RequestMatch } from '../policy/rule.ts';
import { type KubeObject, labels, productName, servicePort } from './objects.ts';

/*
 * Which requests reach us, and what happens when we are away. Fail only for pods of workflow namespaces and their bindings: a deadlocked
 * cluster is worse than an unjudged node, and the pods of a template are judged again. Selectors are disjoint, so that no request matches two validating webhooks of ours: of two denials kubectl
 * shows one.
 */

/** Kubernetes writes it on each namespace, and nobody can move it. */
const namespaceNameLabel = 'kubernetes.io/metadata.name';

/** How long the API server waits, in seconds. A decision takes well under a millisecond; the rest is for a look-up. */
const timeouts: Readonly<Record<Phase, number>> = { mutate: 3, validate: 5 };

/** Every binding of the cluster outside the workflow namespaces waits for us: not for long. */
const bindingElsewhereTimeout = 1;

interface Scope {
  /** First segment of the webhook's name. */
  readonly name: string;
  /** Plural names, with subresources as Kubernetes writes them. */
  readonly resources: readonly string[];
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly selectors: KubeObject;
  /** Conditions of its own, by name. */
  readonly conditions?: readonly Condition[];
  /** The same, of its mutating webhook alone. */
  readonly mutateConditions?: readonly Condition[];
  /** In seconds, where it is not the usual one. */
  readonly timeout?: number;
}

interface Condition {
  readonly name: string;
  readonly expression: string;
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
    const own = matches.filter(({ resource }) => scope.resources.includes(resource));
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

const podResources = ['pods', 'pods/status'];
/** Both paths by which a pod is bound to a node. */
const bindingResources = ['pods/binding', 'bindings'];
const workloadResources = workloads.map(({ resource }) => resource);
const nodeResources = ['nodes', 'nodes/status'];

/** Resources that some scope carries. One that a policy leaves without a scope (no workflow namespaces, say) still counts. */
const carriedResources: ReadonlySet<string> = new Set([
  ...podResources,
  ...bindingResources,
  ...workloadResources,
  ...nodeResources,
]);

/** A rule on any other resource would be registered nowhere and enforce nothing. */
function checkCarried({ id, on }: BoundRule): void {
  const lost = on.find(({ resource }) => !carriedResources.has(resource));
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
    const selectors = inNamespaces('In', gated);
    scopes.push(
      { name: 'pods', resources: podResources, failurePolicy, selectors },
      {
        name: 'bindings',
        resources: bindingResources,
        failurePolicy,
        selectors,
        mutateConditions: [bearsGuardedKeys(policy)],
      },
      { name: 'workloads', resources: workloadResources, failurePolicy: 'Ignore', selectors },
    );
  }
  if (policy.workflowLabels.length > 0) {
    const elsewhere = inNamespaces('NotIn', [...new Set([...namespaces, namespace])]);
    scopes.push(
      {
        name: 'pods-elsewhere',
        resources: podResources,
        failurePolicy: 'Ignore',
        selectors: {
          ...elsewhere,
          // Outside workflow namespaces only the labels make a workflow pod.
          objectSelector: { matchExpressions: policy.workflowLabels.map((key) => ({ key, operator: 'Exists' })) },
        },
      },
      {
        name: 'bindings-elsewhere',
        resources: bindingResources,
        failurePolicy: 'Ignore',
        // A Binding bears none of its pod's labels.
        selectors: elsewhere,
        timeout: bindingElsewhereTimeout,
        mutateConditions: [bearsGuardedKeys(policy)],
      },
      {
        name: 'workloads-elsewhere',
        resources: workloadResources,
        failurePolicy: 'Ignore',
        selectors: elsewhere,
        conditions: [templateBearsLabels(policy.workflowLabels)],
      },
    );
  }
  scopes.push({ name: 'nodes', resources: nodeResources, failurePolicy: 'Ignore', selectors: {} });
  return scopes;
}

/** The labels stand on the template, where no objectSelector looks. One of the three places has them, whatever the kind. */
function templateBearsLabels(keys: readonly string[]): Condition {
  const places = templatePaths.map((path) => `object.${path}.?metadata.?labels`);
  const bears = `l, l.hasValue() && ${JSON.stringify([...keys].sort())}.all(k, k in l.value())`;
  return { name: 'makes-workflow-pods', expression: `[${places.join(', ')}].exists(${bears})` };
}

/** A Binding without such keys, which is nearly every one, has nothing that would be stripped. */
function bearsGuardedKeys({ workflowLabels }: CompiledPolicy): Condition {
  const maps = ['labels', 'annotations'].map((map) => `object.metadata.?${map}.orValue({})`);
  const tests = [
    ...guardedPrefixes.map((prefix) => `k.startsWith(${JSON.stringify(prefix)})`),
    `k in ${JSON.stringify([...workflowLabels].sort())}`,
  ];
  return {
    name: 'bears-keys-to-strip',
    expression: `[${maps.join(', ')}].exists(m, m.exists(k, ${tests.join(' || ')}))`,
  };
}

/** Where a workload keeps the template of its pods: most kinds, CronJob, PodTemplate. */
const templatePaths = ['?spec.?template', '?spec.?jobTemplate.?spec.?template', '?template'];

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

/** CEL that is true where an optional field differs: without `.?` a field that is not there is an error, and then Ignore skips the webhook without a word. */
const differs = (path: string): string => `object.${path} != oldObject.${path}`;

const annotationDiffers = (key: string): string => differs(`metadata.?annotations[?"${key}"]`);

/** What of a pod's spec decides where it may land; the API server lets some of it change. */
const placementFields = ['tolerations', 'nodeSelector', 'affinity', 'nodeName', 'schedulingGates'];

/** Taints other than those of the node lifecycle. */
const taintsOf = (object: string): string =>
  `${object}.spec.?taints.orValue([]).filter(t, !t.key.startsWith("node.kubernetes.io/"))`;

/** CEL that is true where an UPDATE makes the change. */
const changed: Readonly<Record<Change, (policy: CompiledPolicy) => string>> = {
  labels: () => differs('metadata.?labels'),
  verified: () => annotationDiffers(verifiedAnnotation),
  // On a status write the API server drops changes of the spec, which the review still shows while mutating.
  taints: () => `request.?subResource.orValue("") == "" && ${taintsOf('object')} != ${taintsOf('oldObject')}`,
  placement: () =>
    `request.?subResource.orValue("") == "" && (${placementFields.map((name) => differs(`spec.?${name}`)).join(' || ')})`,
  'workflow-labels': ({ workflowLabels }) =>
    workflowLabels.length === 0
      ? 'false'
      : [...workflowLabels]
          .sort()
          .map((key) => {
            const has = (object: string): string => `${object}.metadata.?labels[?"${key}"].hasValue()`;
            return `${has('object')} != ${has('oldObject')}`;
          })
          .join(' || '),
  exempted: () => annotationDiffers(exemptedAnnotation),
  template: () => templatePaths.map(differs).join(' || '),
};

/** Keeps out what changes nothing that a rule reads: heartbeats above all, whoever sends them. */
function changeConditions(matches: readonly RequestMatch[], policy: CompiledPolicy): readonly Condition[] {
  const updates = matches.filter(({ operations }) => operations.includes('UPDATE'));
  if (updates.length === 0 || updates.some(({ changes }) => changes === undefined)) return [];
  const terms = [...new Set(updates.flatMap(({ changes = [] }) => changes))].map(
    (change) => `(${changed[change](policy)})`,
  );
  return [{ name: 'changes-what-is-judged', expression: ['request.operation != "UPDATE"', ...terms].join(' || ') }];
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
