import { parseInt64 } from './integer.ts';
import { type Labels, label } from './labels.ts';
import { isLabelValue, isQualifiedName } from './names.ts';

/**
 * Node selectors: nodeSelector and required node affinity, as the scheduler and the kubelet judge them.
 * Source: kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node, k8s.io/component-helpers/scheduling/corev1/nodeaffinity
 * and NewRequirement of k8s.io/apimachinery/pkg/labels, v0.37.
 */

export type SelectorOperator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';

/** One requirement of a node selector term. An operator that Kubernetes does not know matches nothing. */
export interface Requirement {
  readonly key: string;
  readonly operator: SelectorOperator | (string & {});
  readonly values: readonly string[];
}

/** Requirements ANDed. A term without any requirement matches no node. */
export interface NodeSelectorTerm {
  readonly matchExpressions: readonly Requirement[];
  readonly matchFields: readonly Requirement[];
}

/** What a node selector looks at. */
interface SelectedNode {
  readonly name: string;
  readonly labels: Labels;
}

/**
 * Whether a node matches any of the terms; made once for many nodes. `undefined` is no required affinity and matches every node; no terms at
 * all match none. A requirement that Kubernetes cannot parse spoils its term, and only that. NotIn and DoesNotExist match where the label is
 * missing.
 */
export function nodeMatcher(terms: readonly NodeSelectorTerm[] | undefined): (node: SelectedNode) => boolean {
  if (terms === undefined) return () => true;
  const sound = terms.filter(
    ({ matchExpressions, matchFields }) =>
      matchExpressions.length + matchFields.length > 0 && matchExpressions.every(isParsable),
  );
  return ({ name, labels }) =>
    sound.some(
      ({ matchExpressions, matchFields }) =>
        matchFields.every((field) => matchesField(field, name)) &&
        matchExpressions.every((requirement) => meets(requirement, label(labels, requirement.key))),
    );
}

/** True if the labels have every pair of a nodeSelector. */
export function matchesLabels(selector: Labels, labels: Labels): boolean {
  for (const key of Object.keys(selector)) {
    if (label(labels, key) !== selector[key]) return false;
  }
  return true;
}

/**
 * False for what NewRequirement refuses: an unknown operator, a wrong number of values for it, a Gt or Lt of no integer, a key or
 * a value that no label can have (so a Gt of a negative number, too).
 */
export function isParsable({ key, operator, values }: Requirement): boolean {
  if (!hasValuesFor(operator, values)) return false;
  return isQualifiedName(key) && values.every(isLabelValue);
}

function hasValuesFor(operator: string, values: readonly string[]): boolean {
  switch (operator) {
    case 'In':
    case 'NotIn':
      return values.length > 0;
    case 'Exists':
    case 'DoesNotExist':
      return values.length === 0;
    case 'Gt':
    case 'Lt':
      return values.length === 1 && parseInt64(values[0] ?? '') !== undefined;
    default:
      return false;
  }
}

/** Whether a label's value (undefined where the label is missing) meets a requirement that is parsable. */
function meets({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const actual = value === undefined ? undefined : parseInt64(value);
      const limit = parseInt64(values[0] ?? '');
      if (actual === undefined || limit === undefined) return false;
      return operator === 'Gt' ? actual > limit : actual < limit;
    }
    default:
      return false;
  }
}

/** The field of a node that matchFields may name. */
const nameField = 'metadata.name';

/**
 * In or NotIn with one value; any other operator or count matches nothing. The API server accepts one field, metadata.name; the scheduler's
 * own code reads every other as empty.
 */
function matchesField({ key, operator, values }: Requirement, name: string): boolean {
  if (values.length !== 1) return false;
  const actual = key === nameField ? name : '';
  return operator === 'In' ? values[0] === actual : operator === 'NotIn' && values[0] !== actual;
}

/** True if some node, whatever its name, could match all the fields at once. */
export function fieldsCanMatch(fields: readonly Requirement[]): boolean {
  // A name that no In asks for is one of many, so that no list of NotIn excludes them all.
  const wanted = fields.find(({ key, operator }) => key === nameField && operator === 'In')?.values[0];
  return fields.every((requirement) =>
    wanted === undefined && requirement.key === nameField
      ? requirement.operator === 'NotIn' && requirement.values.length === 1
      : matchesField(requirement, wanted ?? ''),
  );
}
