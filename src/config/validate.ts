import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { isObject, typeName } from '../policy/model/read.ts';
import type { BoundRule } from '../policy/rule.ts';
import { formats } from './formats.ts';
import { policySchema } from './schema.ts';
import { formatPath, type Path, type Problem, type Source } from './source.ts';
import { nearest } from './suggest.ts';

/** Finds everything in a policy file that its JSON Schema refuses. */
export type Validate = (source: Source, value: unknown) => readonly Problem[];

/** Compiles the schema once; compiling costs some 20 ms. */
export function createValidate(rules: readonly BoundRule[]): Validate {
  const ajv = new Ajv2020({
    allErrors: true,
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
    strictTypes: false,
    verbose: true,
  });
  for (const [name, { test }] of Object.entries(formats)) ajv.addFormat(name, { type: 'string', validate: test });
  const validate: ValidateFunction = ajv.compile(policySchema(rules));
  return (source, value) => {
    if (validate(value)) return [];
    const problems = (validate.errors ?? []).flatMap((error) => describe(error, source, value));
    // Two keywords may refuse one value (pattern and format): one message a place is enough.
    const seen = new Set<string>();
    return problems.filter(({ line, column, path }) => {
      const key = `${line}:${column}:${path}`;
      return seen.has(key) ? false : seen.add(key);
    });
  };
}

function describe(error: ErrorObject, source: Source, root: unknown): readonly Problem[] {
  const path = toPath(error.instancePath, root);
  const problem = (message: string): Problem[] => [{ ...source.locate(path), path: formatPath(path), message }];
  const value = error.data;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(error.params.additionalProperty);
      const known = isObject(error.parentSchema?.properties) ? Object.keys(error.parentSchema.properties) : [];
      const guess = nearest(key, known);
      const instead = guess === undefined ? `known here: ${known.join(', ')}` : `did you mean ${guess}?`;
      return [
        { ...source.locateKey(path, key), path: formatPath([...path, key]), message: `is not known; ${instead}` },
      ];
    }
    case 'propertyNames':
      return [];
    case 'required':
      return problem(`lacks ${String(error.params.missingProperty)}: add it`);
    case 'const': {
      const wanted = JSON.stringify(error.params.allowedValue);
      return problem(`is ${show(value)}: write ${wanted}`);
    }
    case 'enum': {
      const allowed = (error.params.allowedValues as readonly unknown[]).filter((entry) => entry !== null);
      const guess = typeof value === 'string' ? nearest(value, allowed.map(String)) : undefined;
      if (typeof value === 'boolean' && allowed.includes('off')) {
        return problem(
          `is ${value}: write one of ${allowed.join(', ')} (YAML 1.1 reads a bare on or off as a boolean: quote it)`,
        );
      }
      return problem(
        `is ${show(value)}: ${guess === undefined ? `write one of ${allowed.join(', ')}` : `did you mean ${guess}?`}`,
      );
    }
    case 'type':
      return problem(describeType(error, value));
    case 'format':
    case 'pattern': {
      const format = String(isObject(error.parentSchema) ? (error.parentSchema.format ?? '') : '');
      const name = error.propertyName;
      const hint = formats[format]?.hint ?? `it must match ${String(error.params.pattern)}`;
      if (name !== undefined)
        return [
          {
            ...source.locateKey(path, name),
            path: formatPath([...path, name]),
            message: `is no key for this map: ${hint}`,
          },
        ];
      return problem(`is ${show(value)}: ${hint}`);
    }
    case 'minItems':
      return problem('is an empty list: write at least one entry, or leave the key out');
    case 'uniqueItems':
      return problem(`has the same entry twice (${String(error.params.j)} and ${String(error.params.i)}): remove one`);
    case 'minLength':
      return problem('is empty: write a text');
    default:
      return problem(`${error.message ?? 'is not valid'}`);
  }
}

function describeType(error: ErrorObject, value: unknown): string {
  const wanted = [error.params.type]
    .flat()
    .filter((type) => type !== 'null')
    .join(' or ');
  if (typeof value === 'number' && wanted === 'string') {
    const text = JSON.stringify(value);
    // YAML reads 1.30 as the number 1.3: what was written is lost, so the exact text cannot be offered.
    return `is the number ${text}, must be text: quote it, e.g. "${text}" (unquoted, YAML drops a trailing zero: 1.30 reads as 1.3)`;
  }
  return `is ${typeName(value)}, must be ${/^[aeiou]/.test(wanted) ? 'an' : 'a'} ${wanted === 'array' ? 'list' : wanted}`.replace(
    'an list',
    'a list',
  );
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > 64 ? `${text.slice(0, 63)}…` : text;
}

/** A JSON Pointer as a path; segments that index a list become numbers. */
function toPath(pointer: string, root: unknown): Path {
  const path: (string | number)[] = [];
  let value: unknown = root;
  for (const segment of pointer.split('/').slice(1)) {
    const key = segment.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(value)) {
      path.push(Number(key));
      value = value[Number(key)];
    } else {
      path.push(key);
      value = isObject(value) ? value[key] : undefined;
    }
  }
  return path;
}
