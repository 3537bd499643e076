import { createHash } from 'node:crypto';
import { compilePolicy, findContradictions } from '../policy/compile.ts';
import type { CompiledPolicy, Policy } from '../policy/model/policy.ts';
import { isObject, type JsonObject } from '../policy/model/read.ts';
import type { BoundRule, Contradiction } from '../policy/rule.ts';
import { defaultPolicy } from './defaults.ts';
import { mergeOver } from './merge.ts';
import { formatPath, type Problem, parseSource, type Source } from './source.ts';
import { createValidate, type Validate } from './validate.ts';

/** A policy file that cannot be used. `problems` lists everything wrong with it, in the order of the file. */
export class PolicyFileError extends Error {
  override readonly name = 'PolicyFileError';
  readonly file: string;
  readonly problems: readonly Problem[];
  constructor(file: string, problems: readonly Problem[]) {
    const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
    super(
      sorted
        .map(
          ({ line, column, path, message }) =>
            `${file}:${line}:${column}: ${path === '' ? 'the file' : path} ${message}`,
        )
        .join('\n'),
    );
    this.file = file;
    this.problems = sorted;
  }
}

/** Turns the text of a policy file into a policy. Pure but for the compiled schema it keeps. */
export type ParsePolicy = (text: string, file: string) => CompiledPolicy;

export interface ParserOptions {
  readonly rules: readonly BoundRule[];
  /** The namespace the webhook runs in, always exempt; undefined outside a cluster. */
  readonly ownNamespace?: string | undefined;
  /** User name of its service account, whose writes of marks stand. */
  readonly ownUser?: string | undefined;
}

/** @returns a parser that throws PolicyFileError for every file that it refuses. */
export function createPolicyParser({ rules, ownNamespace: namespace, ownUser: user }: ParserOptions): ParsePolicy {
  const validate = createValidate(rules);
  const defaults = defaultPolicy(rules);
  return (text, file) => {
    const policy = parsePolicy(text, file, rules, validate, defaults);
    return compilePolicy(policy, digestOf(policy), rules, { namespace, user });
  };
}

/** The policy in force without a policy file. */
export function compileDefaults({ rules, ownNamespace: namespace, ownUser: user }: ParserOptions): CompiledPolicy {
  const policy = defaultPolicy(rules);
  return compilePolicy(policy, digestOf(policy), rules, { namespace, user });
}

function parsePolicy(
  text: string,
  file: string,
  rules: readonly BoundRule[],
  validate: Validate,
  defaults: Policy,
): Policy {
  const parsed = parseSource(text);
  if ('problems' in parsed) throw new PolicyFileError(file, parsed.problems);
  const { source } = parsed;
  const value = readOff(source.value);
  const problems = validate(source, value);
  if (problems.length > 0) throw new PolicyFileError(file, problems);
  const { apiVersion: _version, kind: _kind, ...sections } = isObject(value) ? value : {};
  // The file has passed the schema and the defaults are complete, so the merge is a Policy.
  const policy = mergeOver(defaults, sections) as Policy;
  const contradictions = findContradictions(policy, rules);
  if (contradictions.length > 0) {
    throw new PolicyFileError(
      file,
      contradictions.map((contradiction) => locate(contradiction, source)),
    );
  }
  return policy;
}

function locate({ path, other, message }: Contradiction, source: Source): Problem {
  const place = source.locate(path);
  const also =
    other === undefined
      ? ''
      : ` (see ${formatPath(other)}, ${source.has(other) ? `line ${source.locate(other).line}` : 'a default'})`;
  // A path that only the defaults have is reported on the key that the file does have.
  return source.has(path) || other === undefined || !source.has(other)
    ? { ...place, path: formatPath(path), message: `contradicts the rest: ${message}${also}` }
    : {
        ...source.locate(other),
        path: formatPath(other),
        message: `contradicts ${formatPath(path)}, a default: ${message}`,
      };
}

/** Settings of rules that may be `off`, or hold what may. */
export const levelKeys: readonly string[] = ['enforcement', 'others'];

/** Helm and other YAML 1.1 readers turn a bare `off` into false on the way here: where a level stands it is read as off. */
function readOff(value: unknown): unknown {
  if (!isObject(value) || !isObject(value.rules)) return value;
  const rules = Object.entries(value.rules).map(([id, settings]) => [
    id,
    isObject(settings)
      ? Object.fromEntries(
          Object.entries(settings).map(([key, level]) => [key, levelKeys.includes(key) ? offOf(level) : level]),
        )
      : settings,
  ]);
  return { ...value, rules: Object.fromEntries(rules) };
}

function offOf(value: unknown): unknown {
  if (value === false) return 'off';
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([reason, level]) => [reason, level === false ? 'off' : level]));
}

/** Hex SHA-256 over the effective policy with sorted keys: the same policy has the same digest, however it is written. */
export function digestOf(policy: Policy | JsonObject): string {
  return createHash('sha256').update(canonical(policy)).digest('hex');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(',')}}`;
}
