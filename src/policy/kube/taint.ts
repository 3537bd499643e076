import { maxInt64, parseCanonicalInt64 } from './integer.ts';
import { clip } from './text.ts';

/**
 * Taints and tolerations, with the scheduler's own semantics.
 * Source: kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration, and ToleratesTaint of k8s.io/component-helpers.
 */

export interface Taint {
  readonly key: string;
  readonly value?: string;
  /** NoSchedule, PreferNoSchedule or NoExecute. */
  readonly effect: string;
}

export interface Toleration {
  readonly key?: string;
  /** Equal (also when absent), Exists; Lt and Gt are alpha. */
  readonly operator?: string;
  readonly value?: string;
  /** Empty or absent matches every effect. */
  readonly effect?: string;
  readonly tolerationSeconds?: number;
}

/** A set of taints: those of this key, of this value (any where absent), of one of these effects. */
export interface TaintPattern {
  readonly key: string;
  readonly value?: string;
  readonly effects: readonly string[];
}

/**
 * True if the toleration tolerates this very taint, whatever the taint's effect means for a pod. Lt and Gt count as if their feature
 * gate were on; both values must then be integers as a person writes them. A toleration without key matches every key, also with Equal
 * (the API server refuses that pair). Source: ToleratesTaint of k8s.io/api/core/v1/toleration.go, v0.37.
 */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (isSet(toleration.effect) && toleration.effect !== taint.effect) return false;
  if (isSet(toleration.key) && toleration.key !== taint.key) return false;
  return toleratesValue(toleration, taint.value ?? '');
}

/**
 * True if some taint of the pattern is tolerated. Where the pattern leaves the value open, a taint could bear any value that
 * Equal names; for Lt and Gt it must be an integer that is a legal taint value (validateNodeTaints), hence not a negative one.
 */
export function toleratesSome(toleration: Toleration, pattern: TaintPattern): boolean {
  if (isSet(toleration.key) && toleration.key !== pattern.key) return false;
  if (isSet(toleration.effect) ? !pattern.effects.includes(toleration.effect) : pattern.effects.length === 0)
    return false;
  if (pattern.value !== undefined) return toleratesValue(toleration, pattern.value);
  const operator = operatorOf(toleration);
  if (operator === 'Exists' || operator === 'Equal') return true;
  const limit = parseCanonicalInt64(toleration.value ?? '');
  if (limit === undefined) return false;
  return operator === 'Lt' ? limit > 0n : operator === 'Gt' && limit < maxInt64;
}

/**
 * True if `a` tolerates every taint that `b` tolerates, a NoExecute taint for at least as long. Exact for Equal and Exists; for
 * Lt and Gt true only where it is sure (the same operator with at least the same range, or a single value inside it).
 */
export function covers(a: Toleration, b: Toleration): boolean {
  if (isSet(a.effect) && a.effect !== b.effect) return false;
  if (isSet(a.key) && a.key !== b.key) return false;
  if ((!isSet(b.effect) || b.effect === 'NoExecute') && secondsOf(a) < secondsOf(b)) return false;
  const operator = operatorOf(a);
  if (operator === 'Exists') return true;
  if (operatorOf(b) === 'Equal') return toleratesValue(a, b.value ?? '');
  if (operatorOf(b) !== operator) return false;
  const outer = parseCanonicalInt64(a.value ?? '');
  const inner = parseCanonicalInt64(b.value ?? '');
  if (outer === undefined || inner === undefined) return false;
  return operator === 'Lt' ? outer >= inner : operator === 'Gt' && outer <= inner;
}

/** The same for two tolerations that say the same of taints; for how long (`tolerationSeconds`) is no difference. */
export function tolerationKey(toleration: Toleration): string {
  const { key = '', value = '', effect = '' } = toleration;
  return JSON.stringify([key, operatorOf(toleration), value, effect]);
}

/** True if some taint is of both patterns. */
export function overlap(a: TaintPattern, b: TaintPattern): boolean {
  return (
    a.key === b.key &&
    (a.value === undefined || b.value === undefined || a.value === b.value) &&
    a.effects.some((effect) => b.effects.includes(effect))
  );
}

/** For a message, in the order and words of a manifest: `{key: ops, operator: Exists, effect: NoSchedule}`; `{}` for an empty one. */
export function describeToleration(toleration: Toleration): string {
  const parts: string[] = [];
  for (const field of ['key', 'operator', 'value', 'effect'] as const) {
    const text = toleration[field];
    if (isSet(text)) parts.push(`${field}: ${clip(text, maxShown)}`);
  }
  return `{${parts.join(', ')}}`;
}

/** For a message, as kubectl writes taints: `ops=x:NoSchedule`, `ops:NoSchedule` without a value. */
export function describeTaint({ key, value, effect }: Taint): string {
  return `${clip(key, maxShown)}${isSet(value) ? `=${clip(value, maxShown)}` : ''}:${clip(effect, maxShown)}`;
}

/** For a message: `ops:NoSchedule|NoExecute`. */
export function describePattern({ key, value, effects }: TaintPattern): string {
  return `${key}${value === undefined ? '' : `=${value}`}:${effects.join('|')}`;
}

/** Characters of a key or value in a message: a legal value has at most 63. */
const maxShown = 64;

function toleratesValue(toleration: Toleration, taintValue: string): boolean {
  switch (operatorOf(toleration)) {
    case 'Exists':
      return true;
    case 'Equal':
      return (toleration.value ?? '') === taintValue;
    case 'Lt':
    case 'Gt': {
      const limit = parseCanonicalInt64(toleration.value ?? '');
      const value = parseCanonicalInt64(taintValue);
      if (limit === undefined || value === undefined) return false;
      return toleration.operator === 'Lt' ? value < limit : value > limit;
    }
    default:
      return false;
  }
}

function operatorOf({ operator }: Toleration): string {
  return isSet(operator) ? operator : 'Equal';
}

/** How long a NoExecute taint is tolerated, in seconds: for ever where absent, not at all below zero. */
function secondsOf({ tolerationSeconds }: Toleration): number {
  return tolerationSeconds === undefined ? Number.POSITIVE_INFINITY : Math.max(0, tolerationSeconds);
}

/** True of a toleration without a key: with Exists it tolerates every taint, of its effect if it names one. */
export function isKeyless({ key }: Toleration): boolean {
  return !isSet(key);
}

/** Kubernetes drops empty strings on the wire: absent and empty are the same. */
function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}
