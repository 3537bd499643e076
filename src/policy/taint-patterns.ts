import type { TaintPattern } from './kube/taint.ts';
import type { TaintEntry } from './model/policy.ts';
import type { JsonSchema } from './rule.ts';

/** Effects that keep a pod off a node: a PreferNoSchedule taint keeps nothing off. */
const effects: readonly string[] = ['NoSchedule', 'NoExecute'];

/** Configured taints as patterns: no value = any, no effects = NoSchedule and NoExecute. */
export function taintPatterns(entries: readonly TaintEntry[]): readonly TaintPattern[] {
  return entries.map((entry) => ({
    key: entry.key,
    ...(entry.value !== undefined && { value: entry.value }),
    effects: entry.effects ?? effects,
  }));
}

/** Schema of a list of taints in the policy file. @param description what the taints are for. */
export function taintsSchema(description: string): JsonSchema {
  return {
    type: 'array',
    description: `${description} No value = any value; no effects = NoSchedule and NoExecute.`,
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['key'],
      properties: {
        key: { type: 'string', format: 'labelKey' },
        value: { type: 'string', format: 'labelValue' },
        effects: { type: 'array', minItems: 1, uniqueItems: true, items: { enum: effects } },
      },
    },
  };
}
