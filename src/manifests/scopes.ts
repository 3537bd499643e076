import type { CompiledPolicy } from '../policy/model/policy.ts';
import { workloads } from '../policy/model/read-request.ts';
import {
  bearsGuardedKeys,
  bearsLabels,
  type Condition,
  sorted,
  templateBearsLabels,
  templatePaths,
  tolerates,
} from './conditions.ts';
import type { KubeObject } from './objects.ts';

/*
 * Which requests go to which webhook. Fail only for pods of workflow namespaces and their bindings: a deadlocked
 * cluster is worse than an unjudged node, and the pods of a template are judged again. Scopes are disjoint, so that no request matches two validating webhooks of ours: of two denials kubectl
 * shows one.
 */

/** Kubernetes writes it on each namespace, and nobody can move it. */
const namespaceNameLabel = 'kubernetes.io/metadata.name';

/** Bindings and other pods outside the workflow namespaces wait for us, which are most of the cluster's: not for long. */
const othersTimeout = 1;

/** Requests that one webhook of each configuration is for. */
export interface Scope {
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
  /** Whether it is for the rules about pods that are no workflow pods, and for no others. */
  readonly others?: true;
}

const podResources = ['pods', 'pods/status'];
/** Both paths by which a pod is bound to a node. */
const bindingResources = ['pods/binding', 'bindings'];
const workloadResources = workloads.map(({ resource }) => resource);
export const nodeResources = ['nodes', 'nodes/status'];

/** Resources that some scope carries. One that a policy leaves without a scope (no workflow namespaces, say) still counts. */
export const carriedResources: ReadonlySet<string> = new Set([
  ...podResources,
  ...bindingResources,
  ...workloadResources,
  ...nodeResources,
]);

/** The same for rules about pods that are no workflow pods. */
export const othersResources: ReadonlySet<string> = new Set(['pods', ...workloadResources]);

/**
 * Every scope that a policy makes: together they hold each request that some rule may judge, each exactly once.
 * @param keys of the tolerations with which a pod that is no workflow pod may be judged; none where no rule is about such pods.
 */
export function scopesOf(policy: CompiledPolicy, namespace: string, keys: readonly string[]): readonly Scope[] {
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
  const elsewhere = inNamespaces('NotIn', [...new Set([...namespaces, namespace])]);
  if (policy.workflowLabels.length > 0) {
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
        timeout: othersTimeout,
        mutateConditions: [bearsGuardedKeys(policy)],
      },
      {
        name: 'workloads-elsewhere',
        resources: workloadResources,
        failurePolicy: 'Ignore',
        selectors: elsewhere,
        conditions: [{ name: 'makes-workflow-pods', expression: templateBearsLabels(sorted(policy.workflowLabels)) }],
      },
    );
  }
  if (keys.length > 0) scopes.push(...othersScopes(elsewhere, sorted(policy.workflowLabels), sorted(keys)));
  scopes.push({ name: 'nodes', resources: nodeResources, failurePolicy: 'Ignore', selectors: {} });
  return scopes;
}

/**
 * Pods and workloads elsewhere that are no workflow pods, as far as their tolerations may be judged. No objectSelector says "not all of these
 * labels", and one lets in what the old or the new object matches: conditions say the opposite of it.
 */
function othersScopes(elsewhere: KubeObject, labels: readonly string[], keys: readonly string[]): readonly Scope[] {
  const noWorkflowPod = (bears: string): readonly Condition[] =>
    labels.length === 0 ? [] : [{ name: 'no-workflow-pod', expression: `!(${bears})` }];
  const common = { failurePolicy: 'Ignore', selectors: elsewhere, timeout: othersTimeout, others: true } as const;
  const old = `(request.operation == "UPDATE" && ${bearsLabels('oldObject', labels)})`;
  return [
    {
      name: 'other-pods',
      resources: ['pods'],
      ...common,
      conditions: [...noWorkflowPod(`${bearsLabels('object', labels)} || ${old}`), tolerates([''], keys)],
    },
    {
      name: 'other-workloads',
      resources: workloadResources,
      ...common,
      conditions: [...noWorkflowPod(templateBearsLabels(labels)), tolerates(templatePaths, keys)],
    },
  ];
}
