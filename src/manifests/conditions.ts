import { exemptedAnnotation, guardedPrefixes } from '../policy/exempted.ts';
import { verifiedAnnotation } from '../policy/model/node.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { Change, RequestMatch } from '../policy/rule.ts';

/*
 * Which requests a matchCondition lets through, in CEL. Every field that may be missing is asked for with `.?`: one that is not there is an
 * error without it, and then Ignore skips the webhook without a word.
 */

/** A matchCondition. */
export interface Condition {
  readonly name: string;
  readonly expression: string;
}

/** Where a workload keeps the template of its pods: most kinds, CronJob, PodTemplate. */
export const templatePaths = ['?spec.?template', '?spec.?jobTemplate.?spec.?template', '?template'];

/** So that the order in a policy file makes no other configuration. */
export const sorted = (keys: readonly string[]): readonly string[] => [...new Set(keys)].sort();

/** CEL that is true where a pod bears all the labels. */
export function bearsLabels(pod: string, keys: readonly string[]): string {
  return `${JSON.stringify(keys)}.all(k, k in ${pod}.metadata.?labels.orValue({}))`;
}

/** CEL for labels on a template, where no objectSelector looks. One of the three places has them, whatever the kind. */
export function templateBearsLabels(keys: readonly string[]): string {
  const places = templatePaths.map((path) => `object.${path}.?metadata.?labels`);
  return `[${places.join(', ')}].exists(l, l.hasValue() && ${JSON.stringify(keys)}.all(k, k in l.value()))`;
}

/**
 * More tolerations than any pod needs: such a pod is sent unseen. To look through 200,000, which a pod can hold, costs more than the API server lets a
 * condition cost, and Ignore would skip the webhook.
 */
const maxTolerations = 100;

/** True where a pod, at one of these places, has a toleration of one of the keys, or of no key. */
export function tolerates(places: readonly string[], keys: readonly string[]): Condition {
  const lists = places.map((path) => `object.${path === '' ? '' : `${path}.`}?spec.?tolerations.orValue([])`);
  const meant = `t, t.?key.orValue("") in ${JSON.stringify(['', ...keys])}`;
  return {
    name: 'tolerates-what-is-judged',
    expression: `[${lists.join(', ')}].exists(l, size(l) > ${maxTolerations} || l.exists(${meant}))`,
  };
}

/** A Binding without such keys, which is nearly every one, has nothing that would be stripped. */
export function bearsGuardedKeys({ workflowLabels }: CompiledPolicy): Condition {
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

/** CEL that is true where an optional field differs: without `.?` a field that is not there is an error, and then Ignore skips the webhook without a word. */
const differs = (path: string): string => `object.${path} != oldObject.${path}`;

const annotationDiffers = (key: string): string => differs(`metadata.?annotations[?"${key}"]`);

/** What of a pod's spec decides where it may land; the API server lets some of it change. */
const placementFields = ['tolerations', 'nodeSelector', 'affinity', 'nodeName', 'schedulingGates'];

/** CEL that is true where fields of a spec differ. On a status write the API server drops such changes, which the review still shows while mutating. */
const specDiffers = (fields: readonly string[]): string =>
  `request.?subResource.orValue("") == "" && (${fields.map((name) => differs(`spec.?${name}`)).join(' || ')})`;

/** Taints other than those of the node lifecycle. */
const taintsOf = (object: string): string =>
  `${object}.spec.?taints.orValue([]).filter(t, !t.key.startsWith("node.kubernetes.io/"))`;

/** CEL that is true where an UPDATE makes the change. */
const changed: Readonly<Record<Change, (policy: CompiledPolicy) => string>> = {
  labels: () => differs('metadata.?labels'),
  verified: () => annotationDiffers(verifiedAnnotation),
  taints: () => `request.?subResource.orValue("") == "" && ${taintsOf('object')} != ${taintsOf('oldObject')}`,
  placement: () => specDiffers(placementFields),
  tolerations: () => specDiffers(['tolerations']),
  'workflow-labels': ({ workflowLabels }) => {
    const has = (object: string): string => `${object}.metadata.?labels[?k].hasValue()`;
    return workflowLabels.length === 0
      ? 'false'
      : `${JSON.stringify(sorted(workflowLabels))}.exists(k, ${has('object')} != ${has('oldObject')})`;
  },
  exempted: () => annotationDiffers(exemptedAnnotation),
  template: () => templatePaths.map(differs).join(' || '),
};

/** Keeps out what changes nothing that a rule reads: heartbeats above all, whoever sends them. */
export function changeConditions(matches: readonly RequestMatch[], policy: CompiledPolicy): readonly Condition[] {
  const updates = matches.filter(({ operations }) => operations.includes('UPDATE'));
  if (updates.length === 0 || updates.some(({ changes }) => changes === undefined)) return [];
  const terms = [...new Set(updates.flatMap(({ changes = [] }) => changes))].map(
    (change) => `(${changed[change](policy)})`,
  );
  return [{ name: 'changes-what-is-judged', expression: ['request.operation != "UPDATE"', ...terms].join(' || ') }];
}
