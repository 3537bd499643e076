import { defaultPolicy } from '../../src/config/defaults.ts';
import { levelKeys } from '../../src/config/parse.ts';
import { policyApiVersion, policyKind, policySchema } from '../../src/config/schema.ts';
import { isObject } from '../../src/policy/model/read.ts';
import type { BoundRule, JsonSchema } from '../../src/policy/rule.ts';

const dnsName = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const word = '[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';
const labelKey = `(${dnsName}(\\.${dnsName})*/)?${word}`;

/** Helm knows none of our formats, so they are patterns here: at least as wide, for the server has the last word. */
const patterns: Readonly<Record<string, string>> = {
  version: '^v?[0-9]+(\\.[0-9]+)*',
  quantity: '^[+-]?[0-9.]+([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$',
  percentage: '^(100|[0-9]{1,2})(\\.[0-9]{1,3})?%$',
  labelKey: `^${labelKey}$`,
  labelKeyOrEmpty: `^(${labelKey})?$`,
  labelValue: `^(${word})?$`,
  dnsLabel: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$',
  dnsSubdomain: `^${dnsName}(\\.${dnsName})*$`,
  day: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$',
};

/** The policy file’s schema for Helm’s values, in which every default stands, and its definitions. */
export function policyValueSchema(rules: readonly BoundRule[]): {
  readonly schema: JsonSchema;
  readonly definitions: unknown;
} {
  const { $schema: _schema, $defs, title: _title, ...schema } = policySchema(rules);
  const defaults = { apiVersion: policyApiVersion, kind: policyKind, ...defaultPolicy(rules) };
  return { schema: Object(withRequired(convert(schema, ''), defaults)), definitions: $defs };
}

function convert(value: unknown, name: string): unknown {
  if (Array.isArray(value)) return value.map((each) => convert(each, ''));
  if (!isObject(value)) return value;
  const { format, ...rest } = value;
  const converted = Object.fromEntries(Object.entries(rest).map(([key, each]) => [key, convert(each, key)]));
  const pattern = typeof format === 'string' ? (patterns[format] ?? fail(format)) : undefined;
  const withPattern = { ...converted, ...(pattern !== undefined && !('pattern' in converted) && { pattern }) };
  return levelKeys.includes(name) ? withOff(withPattern) : withPattern;
}

function fail(format: string): never {
  throw new Error(`the chart has no pattern for the format ${format}: give it one in scripts/chart/policy-schema.ts`);
}

/** A bare off is false by the time Helm sees it; the loader reads it as off. */
function withOff(schema: JsonSchema): JsonSchema {
  if (Array.isArray(schema.enum)) return { ...schema, enum: [...schema.enum, false] };
  if (!isObject(schema.properties)) return schema;
  const properties = Object.entries(schema.properties).map(([reason, each]) => [reason, withOff(Object(each))]);
  return { ...schema, properties: Object.fromEntries(properties) };
}

/** Helm takes away what is null before it looks: what null must not take away is required. */
function withRequired(schema: unknown, defaults: unknown): unknown {
  if (!isObject(schema) || !isObject(defaults) || !isObject(schema.properties)) return schema;
  const { properties } = schema;
  return {
    ...schema,
    properties: Object.fromEntries(
      Object.entries(properties).map(([key, each]) => [key, withRequired(each, defaults[key])]),
    ),
    ...(Object.keys(defaults).length > 0 && {
      required: Object.keys(defaults).filter((key) => !allowsNull(properties[key])),
    }),
  };
}

const allowsNull = (schema: unknown): boolean =>
  isObject(schema) &&
  ((Array.isArray(schema.type) && schema.type.includes('null')) ||
    (Array.isArray(schema.enum) && schema.enum.includes(null)));

/** A key of the defaults that null may take away, by its path. */
export type Path = readonly string[];

/** Every key of the defaults that a policy may take away with null, parents first. */
export function removablePaths(rules: readonly BoundRule[]): readonly Path[] {
  const walk = (schema: unknown, defaults: unknown, path: Path): readonly Path[] => {
    if (!isObject(schema) || !isObject(defaults)) return [];
    return Object.keys(defaults).flatMap((key) => {
      const own = isObject(schema.properties) ? schema.properties[key] : schema.additionalProperties;
      const inner = walk(own, defaults[key], [...path, key]);
      return allowsNull(own) && defaults[key] !== null ? [[...path, key], ...inner] : inner;
    });
  };
  return walk(policySchema(rules), defaultPolicy(rules), []);
}
