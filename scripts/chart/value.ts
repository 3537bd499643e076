import type { JsonSchema } from '../../src/policy/rule.ts';

/*
 * The chart's values, described once: values.yaml, values.schema.json and the README are made from it.
 */

/** One value: what it is when nothing is said, what it means, and what may stand there. */
export interface Leaf {
  readonly about: string;
  readonly schema: JsonSchema;
  readonly value: unknown;
}

export interface Group {
  readonly about: string;
  readonly values: Values;
}

export type Values = Readonly<Record<string, Leaf | Group>>;

export const isGroup = (value: Leaf | Group): value is Group => 'values' in value;

export const group = (about: string, values: Values): Group => ({ about, values });

export const text = (value: string, about: string, extra: JsonSchema = {}): Leaf => ({
  about,
  value,
  schema: { type: 'string', ...extra },
});

export const flag = (value: boolean, about: string): Leaf => ({ about, value, schema: { type: 'boolean' } });

export const count = (value: number, about: string, minimum: number, maximum?: number): Leaf => ({
  about,
  value,
  schema: { type: 'integer', minimum, ...(maximum !== undefined && { maximum }) },
});

export const oneOf = (choices: readonly string[], about: string): Leaf => ({
  about,
  value: choices[0],
  schema: { enum: choices },
});

/** A map in Kubernetes' own form, which the API server checks. */
export const kubeMap = (value: object, about: string): Leaf => ({ about, value, schema: { type: 'object' } });

/** A list in Kubernetes' own form. */
export const kubeList = (value: readonly object[], about: string): Leaf => ({
  about,
  value,
  schema: { type: 'array', items: { type: 'object' } },
});

/** Labels or annotations. */
export const strings = (about: string): Leaf => ({
  about,
  value: {},
  schema: { type: 'object', additionalProperties: { type: 'string' } },
});
