import { clip } from '../policy/kube/text.ts';
import { field, isObject } from '../policy/model/read.ts';

/** How a field of a live webhook differs from what the policy needs, and what that means. */
export function differenceOf(key: string, need: unknown, has: unknown): string {
  if (key === 'namespaceSelector') {
    const wanted = valuesOf(need);
    const live = valuesOf(has);
    if (wanted !== undefined && live !== undefined && wanted.operator === live.operator && wanted.key === live.key) {
      return namespacesText(wanted, live);
    }
  }
  if (key === 'failurePolicy') {
    return has === 'Ignore'
      ? 'is Ignore, not Fail: these requests are admitted unjudged while the webhook is away'
      : 'is Fail, not Ignore: these requests are refused while the webhook is away';
  }
  return `is ${shown(has)}, not ${shown(need)}`;
}

/** Bounded: whoever changes a configuration chooses what stands there. */
export function shown(value: unknown): string {
  return clip(JSON.stringify(value) ?? 'missing', 300);
}

interface NameList {
  readonly key: unknown;
  readonly operator: unknown;
  readonly values: readonly unknown[];
}

/** The one expression that our selectors of namespaces have. */
function valuesOf(selector: unknown): NameList | undefined {
  if (!isObject(selector) || Object.keys(selector).length !== 1) return undefined;
  const expressions = field(selector, 'matchExpressions');
  if (!Array.isArray(expressions) || expressions.length !== 1 || !isObject(expressions[0])) return undefined;
  const values = field(expressions[0], 'values');
  const { key, operator } = expressions[0];
  return Array.isArray(values) ? { key, operator, values } : undefined;
}

function namespacesText(wanted: NameList, live: NameList): string {
  const missing = wanted.values.filter((name) => !live.values.includes(name));
  const extra = live.values.filter((name) => !wanted.values.includes(name));
  const [unjudged, judged] = wanted.operator === 'In' ? [missing, extra] : [extra, missing];
  const parts = [
    ...(unjudged.length > 0
      ? [`leaves out namespace ${clip(unjudged.join(', '), 300)}: pods there are not judged by it`]
      : []),
    ...(judged.length > 0
      ? [`takes in namespace ${clip(judged.join(', '), 300)}, which is not its to judge by the policy`]
      : []),
  ];
  return parts.join(', and ');
}
