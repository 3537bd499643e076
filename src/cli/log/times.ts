import type { Span } from '../../audit/read/spans.ts';
import { parseGoDuration } from '../../policy/kube/go-duration.ts';
import type { Flags, ParsedFlags } from '../flags.ts';
import { type CliIo, UsageError } from '../io.ts';

const help = 'as 2026-11-25T12:00:00Z or 2026-11-25, or how long ago, as 24h';

export const timeFlags: Flags = {
  since: { type: 'string', value: 'TIME', help: `Nothing before this: ${help}.` },
  until: { type: 'string', value: 'TIME', help: 'Nothing at or after this.' },
};

/** `--since` and `--until`; without them, everything. @throws UsageError */
export function readSpan(parsed: ParsedFlags, io: CliIo): Span {
  return {
    fromMs: readTime('since', parsed, io) ?? Number.NEGATIVE_INFINITY,
    toMs: (readTime('until', parsed, io) ?? Number.POSITIVE_INFINITY) - 1,
  };
}

function readTime(name: string, parsed: ParsedFlags, io: CliIo): number | undefined {
  const given = parsed.string(name);
  if (given === undefined) return undefined;
  const ago = parseGoDuration(given);
  if (ago !== undefined) return io.now() - ago;
  const ms = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(given)
    ? Date.parse(given)
    : Number.NaN;
  // Date.parse takes 31 February for 3 March.
  const day = given.slice(0, 10);
  if (Number.isNaN(ms) || !new Date(`${day}T00:00Z`).toISOString().startsWith(day))
    throw new UsageError(`--${name} is ${JSON.stringify(given)}: give a time ${help}`);
  return ms;
}
