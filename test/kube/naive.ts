import type { NodeSelectorTerm, Requirement } from '../../src/policy/kube/node-selector.ts';
import type { Taint, Toleration } from '../../src/policy/kube/taint.ts';

/**
 * Oracles: Kubernetes' documentation written down once more, sentence by sentence, as slow and plain as it reads. They share no
 * code with src/policy/kube.
 */

/** `labels` as a Map, so that no key is special. */
export interface NaiveNode {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
}

const alphanumeric = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/** "must be 63 characters or less (can be empty); unless empty, must begin and end with an alphanumeric; could contain dashes, underscores, dots". */
export function naiveIsLabelValue(text: string): boolean {
  if (text === '') return true;
  return (
    text.length <= 63 &&
    [...text].every((character) => `${alphanumeric}-_.`.includes(character)) &&
    [text.slice(0, 1), text.slice(-1)].every((end) => alphanumeric.includes(end))
  );
}

/** "an optional prefix and name, separated by a slash"; the name as a value, but not empty; the prefix "must be a DNS subdomain". */
export function naiveIsLabelKey(text: string): boolean {
  const parts = text.split('/');
  const name = parts.at(-1) ?? '';
  if (parts.length > 2 || name === '' || !naiveIsLabelValue(name)) return false;
  return parts.length === 1 || naiveIsSubdomain(parts[0] ?? '');
}

/** "no more than 253 characters; only lowercase alphanumeric characters, '-' or '.'; start and end with an alphanumeric", part by part. */
export function naiveIsSubdomain(text: string): boolean {
  return text.length <= 253 && text.split('.').every(isDnsPart);
}

/** "at most 63 characters; only lowercase alphanumeric characters or '-'; start and end with an alphanumeric". */
export function naiveIsDnsLabel(text: string): boolean {
  return text.length <= 63 && isDnsPart(text);
}

function isDnsPart(part: string): boolean {
  const lower = alphanumeric.replace(/[A-Z]/g, '');
  return (
    part !== '' &&
    [...part].every((character) => `${lower}-`.includes(character)) &&
    [part.slice(0, 1), part.slice(-1)].every((end) => lower.includes(end))
  );
}

/** A decimal integer of 64 bits, sign and leading zeros allowed. */
export function naiveInt64(text: string): bigint | undefined {
  const digits = text.startsWith('-') || text.startsWith('+') ? text.slice(1) : text;
  if (digits === '' || [...digits].some((digit) => !'0123456789'.includes(digit))) return undefined;
  const value = text.startsWith('-') ? -BigInt(digits) : BigInt(digits);
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

/** "The following operators": In, NotIn, Exists, DoesNotExist, Gt, Lt; NotIn and DoesNotExist match where the label is missing. */
export function naiveMeets(requirement: Requirement, labels: ReadonlyMap<string, string>): boolean {
  return naiveParses(requirement) && naiveHolds(requirement, labels);
}

/** "values: must be non-empty for In and NotIn, empty for Exists and DoesNotExist, a single integer for Gt and Lt"; keys and values as of labels. */
export function naiveParses({ key, operator, values }: Requirement): boolean {
  if (!naiveIsLabelKey(key) || !values.every(naiveIsLabelValue)) return false;
  if (operator === 'In' || operator === 'NotIn') return values.length !== 0;
  if (operator === 'Exists' || operator === 'DoesNotExist') return values.length === 0;
  return (operator === 'Gt' || operator === 'Lt') && naiveInt64(values.join(' ')) !== undefined;
}

/** For a requirement that parses. */
export function naiveHolds({ key, operator, values }: Requirement, labels: ReadonlyMap<string, string>): boolean {
  const value = labels.get(key);
  if (operator === 'In') return value !== undefined && values.some((listed) => listed === value);
  if (operator === 'NotIn') return !values.some((listed) => listed === value);
  if (operator === 'Exists') return labels.has(key);
  if (operator === 'DoesNotExist') return !labels.has(key);
  const [limit, actual] = [naiveInt64(values.join(' ')), naiveInt64(value ?? '')];
  if (limit === undefined || actual === undefined) return false;
  return operator === 'Gt' ? actual > limit : limit > actual;
}

/** "terms are ORed, expressions in a term are ANDed"; "an empty term matches no objects"; fields but metadata.name are empty. */
export function naiveSelects(terms: readonly NodeSelectorTerm[], node: NaiveNode): boolean {
  for (const { matchExpressions, matchFields } of terms) {
    if (matchExpressions.length + matchFields.length === 0) continue;
    let all = true;
    for (const requirement of matchExpressions) all &&= naiveMeets(requirement, node.labels);
    for (const { key, operator, values } of matchFields) {
      all &&= values.length === 1 && ['In', 'NotIn'].includes(operator);
      all &&= (values[0] === (key === 'metadata.name' ? node.name : '')) === (operator === 'In');
    }
    if (all) return true;
  }
  return false;
}

/** The five numbered rules above ToleratesTaint; Lt and Gt compare integers "in canonical form". */
export function naiveTolerates(toleration: Toleration, taint: Taint): boolean {
  const empty = (text: string | undefined): boolean => text === undefined || text === '';
  const effectMatches = empty(toleration.effect) || toleration.effect === taint.effect;
  const keyMatches = empty(toleration.key) || toleration.key === taint.key;
  const value = taint.value ?? '';
  const wanted = toleration.value ?? '';
  let valueMatches = false;
  if (toleration.operator === 'Exists') valueMatches = true;
  if (empty(toleration.operator) || toleration.operator === 'Equal') valueMatches = value === wanted;
  if (toleration.operator === 'Lt' || toleration.operator === 'Gt') {
    const [limit, actual] = [canonical(wanted), canonical(value)];
    if (limit !== undefined && actual !== undefined) {
      valueMatches = toleration.operator === 'Lt' ? actual < limit : actual > limit;
    }
  }
  return effectMatches && keyMatches && valueMatches;
}

function canonical(text: string): bigint | undefined {
  const value = naiveInt64(text);
  return value !== undefined && String(value) === text ? value : undefined;
}
