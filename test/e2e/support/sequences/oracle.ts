import { canRunOn, isOperator } from '../../../properties/naive-scheduler.ts';
import type { KubeObject } from '../../../support/fixtures.ts';
import { workflowNamespace } from './operations.ts';

/*
 * What the rules mean by the documents alone (docs/rules.md), over raw objects: it shares nothing with the product. Where a rule says
 * "could be met", it tries every node that could matter.
 */

/** `admit`: harmless as it is, or once it has been patched. `either`: the API server refuses it anyway. */
export type Verdict = 'admit' | 'deny' | 'either';

/** Live nodes by name. */
export type Nodes = ReadonlyMap<string, KubeObject>;

// biome-ignore lint/suspicious/noExplicitAny: objects of the API server, read by their documented shape.
type Raw = any;

const exemptNamespaces = ['kube-system', 'osmo-test'];
export const exemptedKey = 'osmo-admission/exempted';
const workflowLabels = ['osmo.workflow_uuid', 'osmo.task_uuid'];

export function isWorkflow(pod: Raw): boolean {
  const labels = pod.metadata.labels ?? {};
  return pod.metadata.namespace === workflowNamespace || workflowLabels.every((key) => labels[key] !== undefined);
}

export const isExemptNamespace = (namespace: string): boolean => exemptNamespaces.includes(namespace);

/** @param exempt whether whoever creates it is. */
export function judgeCreate(pod: Raw, exempt: boolean, nodes: Nodes): Verdict {
  if (!isWorkflow(pod) || exempt || isExemptNamespace(pod.metadata.namespace)) return 'admit';
  const name = pod.spec.nodeName;
  const bound = name !== undefined && isForbidden(name, nodes);
  return bound || reaches(pod, nodes) || conflicts(pod) ? 'deny' : 'admit';
}

/** @param exempt whether the request or the pod is. */
export function judgeUpdate(old: Raw, pod: Raw, exempt: boolean, nodes: Nodes): Verdict {
  if (!isWorkflow(old) && !isWorkflow(pod)) return 'admit';
  if (old.metadata.annotations?.[exemptedKey] !== pod.metadata.annotations?.[exemptedKey]) return 'deny';
  if (exempt || isExemptNamespace(pod.metadata.namespace)) return 'admit';
  if (isGated(old) && !isGated(pod)) return reaches(pod, nodes) ? 'deny' : 'admit';
  const had = tolerationsOf(old).map(textOf);
  if (tolerationsOf(pod).some((one) => matchesOperatorTaint(one) && !had.includes(textOf(one)))) return 'deny';
  const wasOpen = selectsOperators(old, nodes) || isOpen(old);
  return !wasOpen && selectsOperators(pod, nodes) ? 'deny' : 'admit';
}

/** A kubelet's write of a pod's status: of the rules it is only the note's. */
export function judgeStatus(old: Raw, pod: Raw): Verdict {
  const same = old.metadata.annotations?.[exemptedKey] === pod.metadata.annotations?.[exemptedKey];
  return same || !isWorkflow(old) ? 'admit' : 'deny';
}

/** @param pod undefined for one that is not there. @param exempt whether the request or the pod is. */
export function judgeBinding(pod: Raw, target: string, exempt: boolean, nodes: Nodes): Verdict {
  if (pod === undefined) return 'either';
  if (exempt || isExemptNamespace(pod.metadata.namespace) || !isWorkflow(pod)) return 'admit';
  return isForbidden(target, nodes) ? 'deny' : 'admit';
}

/** Whether a node is of another type than it was: a kubelet's write of it passes, and must leave the type alone; everybody else is warned at most. */
export const isRetyped = (before: Raw, after: Raw): boolean =>
  (before.metadata.labels['node-type'] ?? null) !== (after.metadata.labels['node-type'] ?? null);

/** What must not be true of any workflow pod that the scheduler takes up: some node that bears an operator label, or an operator taint, is open to it. */
export function canReachOperator(pod: Raw): boolean {
  return tolerationsOf(pod).some(matchesOperatorTaint) || isOpen(pod);
}

function isForbidden(name: string, nodes: Nodes): boolean {
  const node = nodes.get(name);
  return node === undefined || isOperator(node);
}

export function isGated(pod: Raw): boolean {
  return (pod.spec.schedulingGates ?? []).length > 0;
}

function reaches(pod: Raw, nodes: Nodes): boolean {
  return tolerationsOf(pod).some(matchesOperatorTaint) || selectsOperators(pod, nodes);
}

const tolerationsOf = (pod: Raw): readonly Raw[] => pod.spec.tolerations ?? [];

const textOf = ({ key = '', operator = 'Equal', value = '', effect = '' }: Raw): string =>
  JSON.stringify([key, operator, value, effect]);

/** `ops` of any value, `node-type=operator`; NoSchedule and NoExecute. */
function matchesOperatorTaint({ key, operator = 'Equal', value = '', effect = '' }: Raw): boolean {
  if (!['', 'NoSchedule', 'NoExecute'].includes(effect)) return false;
  if (key === undefined || key === '' || key === 'ops') return true;
  return key === 'node-type' && (operator === 'Exists' || value === 'operator');
}

function selectsOperators(pod: Raw, nodes: Nodes): boolean {
  const named = termsOf(pod).some((term) =>
    (term.matchFields ?? []).some(
      ({ operator, values }: Raw) => operator === 'In' && values.some((name: string) => isOperator(nodes.get(name))),
    ),
  );
  const own = withoutExclusion(pod);
  return named || (couldRun(own, () => true) && !couldRun(own, (type) => type !== 'operator'));
}

/** Whether what a pod of its kind needs is ruled out by its own words. */
function conflicts(pod: Raw): boolean {
  const needed = neededType(pod);
  const own = withoutExclusion(pod);
  return needed !== undefined && couldRun(own, () => true) && !couldRun(own, (type) => type === needed);
}

function neededType(pod: Raw): string | undefined {
  const platform = pod.metadata.labels?.['osmo.platform'] ?? '';
  if (/^(agx-orin|jetson)-/.test(platform) || pod.spec.nodeSelector?.['node-type'] === 'jetson') return 'jetson';
  return JSON.stringify(pod.spec.containers).includes('"nvidia.com/gpu":"1"') ? 'gpu' : undefined;
}

const isOpen = (pod: Raw): boolean => couldRun(pod, (type) => type === 'operator');

const termsOf = (pod: Raw): readonly Raw[] =>
  pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];

/** The exclusion is nobody's own word, whoever wrote it. A term that says nothing else leaves every node open. */
function withoutExclusion(pod: Raw): Raw {
  const copy = structuredClone(pod);
  for (const term of termsOf(copy)) {
    for (const expression of term.matchExpressions ?? []) {
      if (expression.key !== 'node-type' || expression.operator !== 'NotIn') continue;
      const values = expression.values.filter((value: string) => value !== 'operator');
      // That no node bears it is no requirement, and keeps the term from being empty.
      expression.values = values.length > 0 ? values : ['nobody'];
    }
  }
  return copy;
}

/** Whether some node whose type passes could be selected by the pod, by trying all that its words tell apart. */
function couldRun({ spec }: Raw, passes: (type: string | undefined) => boolean): boolean {
  const { nodeSelector = {}, affinity } = spec;
  const words = { spec: { nodeSelector, affinity } };
  const requirements = termsOf({ spec }).flatMap(({ matchExpressions = [] }) => matchExpressions);
  const fields = termsOf({ spec }).flatMap(({ matchFields = [] }) => matchFields);
  const valuesByKey = new Map<string, Set<string | undefined>>();
  const add = (key: string, values: readonly string[]): void => {
    const known = valuesByKey.get(key) ?? new Set([undefined, 'other']);
    for (const value of values) known.add(value);
    valuesByKey.set(key, known);
  };
  add('node-type', ['operator', 'compute', 'gpu', 'jetson']);
  for (const [key, value] of Object.entries(nodeSelector)) add(key, [String(value)]);
  for (const { key, values = [] } of requirements) add(key, values);
  let labels: readonly Readonly<Record<string, string>>[] = [{}];
  for (const [key, values] of valuesByKey) {
    labels = labels.flatMap((so) => [...values].map((value) => (value === undefined ? so : { ...so, [key]: value })));
  }
  const names = ['another-node', ...fields.flatMap(({ values }: Raw) => values)];
  return labels
    .filter((one) => passes(one['node-type']))
    .some((one) => names.some((name) => canRunOn(words, { metadata: { name, labels: one } })));
}
