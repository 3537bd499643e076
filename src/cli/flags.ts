import { parseArgs } from 'node:util';
import { nearest } from '../config/suggest.ts';
import { UsageError } from './io.ts';

/** One flag of a command, with what `--help` says of it. */
export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  /** What the value is, for help: `FILE`. */
  readonly value?: string;
  readonly help: string;
  /** For help only; the command applies it. */
  readonly default?: string;
  /** Environment variable that is read where the flag is absent. */
  readonly env?: string;
}

export type Flags = Readonly<Record<string, Flag>>;

export interface ParsedFlags {
  string(name: string): string | undefined;
  strings(name: string): readonly string[];
  boolean(name: string): boolean;
  readonly positionals: readonly string[];
}

/**
 * Parses a command's arguments; the environment fills in what is absent.
 * @throws UsageError for an unknown flag, a missing value, or a positional where none is taken.
 */
export function parseFlags(
  args: readonly string[],
  flags: Flags,
  env: Readonly<Record<string, string | undefined>>,
): ParsedFlags {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { type, short, multiple = false }]) => [
      name,
      { type, multiple, ...(short !== undefined && { short }) },
    ]),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (error) {
    throw new UsageError(describe(error, args, flags));
  }
  const lookUp = (name: string): unknown => {
    const value: unknown = parsed.values[name];
    if (value !== undefined) return value;
    const variable = flags[name]?.env;
    const text = variable === undefined ? undefined : env[variable];
    return text === undefined || text === '' ? undefined : text;
  };
  return {
    positionals: parsed.positionals,
    string: (name) => {
      const value = lookUp(name);
      return typeof value === 'string' ? value : undefined;
    },
    strings: (name) => {
      const value = lookUp(name);
      return Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [];
    },
    boolean: (name) => {
      const value = lookUp(name);
      return value === true || value === 'true' || value === '1';
    },
  };
}

function describe(error: unknown, args: readonly string[], flags: Flags): string {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = args.find((arg) => arg.startsWith('--') && !Object.hasOwn(flags, arg.slice(2).split('=')[0] ?? ''));
  if (unknown === undefined || !message.startsWith('Unknown option')) return message.split('. ')[0] ?? message;
  const name = unknown.slice(2).split('=')[0] ?? '';
  const guess = nearest(name, Object.keys(flags));
  return `there is no flag --${name}${guess === undefined ? '' : `; did you mean --${guess}?`}`;
}

/** The flags as a table for `--help`. */
export function describeFlags(flags: Flags): string {
  return Object.entries(flags)
    .map(([name, flag]) => {
      const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
      const head = `  ${short}--${name}${flag.value === undefined ? '' : ` ${flag.value}`}`;
      const extra = [
        flag.default === undefined ? '' : `default ${flag.default}`,
        flag.env === undefined ? '' : `env ${flag.env}`,
      ].filter((text) => text !== '');
      return `${head}\n        ${flag.help}${extra.length === 0 ? '' : ` (${extra.join('; ')})`}`;
    })
    .join('\n');
}

export const helpFlag: Flag = { type: 'boolean', short: 'h', help: 'Print this help.' };
