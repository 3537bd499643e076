import { type Line, lineKinds } from '../../audit/read/entry.ts';
import { columns, compileQuery, rowOf } from '../../audit/read/query.ts';
import { compileGlob } from '../../policy/kube/glob.ts';
import { clip } from '../../policy/kube/text.ts';
import { describeFlags, type Flags, helpFlag, type ParsedFlags, parseFlags } from '../flags.ts';
import { type CliIo, exitCodes, UsageError } from '../io.ts';
import { csvRow } from './csv.ts';
import { count, plural, readOutput } from './output.ts';
import { readSpan, timeFlags } from './times.ts';
import { createBadLines, eachLine, openLog } from './walk.ts';

const filter = (value: string, help: string): Flags[string] => ({ type: 'string', value, help });

/** What records can say there: a filter that none can meet is a slip, and its silence no evidence. */
const values: Readonly<Record<string, readonly string[]>> = {
  enforcement: ['enforce', 'quarantine', 'warn', 'audit'],
  decision: ['allow', 'deny', 'error'],
  phase: ['mutate', 'validate'],
  verb: ['create', 'update', 'delete', 'connect'],
  kind: [...lineKinds],
};

/** Filters that only decisions can meet. */
const ofDecisions = [
  'user',
  'rule',
  'reason',
  'enforcement',
  'decision',
  'phase',
  'verb',
  'resource',
  'namespace',
  'name',
];

const flags: Flags = {
  ...timeFlags,
  user: filter('USER', 'Who made the request. * stands for anything, here and below.'),
  rule: filter('RULE', 'With a finding of this rule.'),
  reason: filter('REASON', 'With a finding of this reason.'),
  enforcement: filter('LEVEL', 'With a finding under this enforcement: enforce, quarantine, warn or audit.'),
  decision: filter('DECISION', 'allow, deny or error.'),
  phase: filter('PHASE', 'mutate or validate.'),
  verb: filter('VERB', 'create, update, delete or connect.'),
  resource: filter('RESOURCE', 'Plural, with its subresource: pods, nodes/status.'),
  namespace: { ...filter('NAMESPACE', 'Of the object.'), short: 'n' },
  name: filter('NAME', 'Of the object.'),
  exempted: { type: 'boolean', help: 'Only decisions for which an exemption counted.' },
  'caller-verified': filter('BOOLEAN', 'Whether the caller showed that it is the API server: true or false.'),
  kind: {
    type: 'string',
    value: 'KIND',
    help: 'Kind of the record: AdmissionRecord, PolicyRecord, CertificateRecord, ConfigurationRecord, FileRecord, GapRecord, LogStart, LogStop or Checkpoint.',
    default: 'AdmissionRecord',
  },
  output: {
    type: 'string',
    short: 'o',
    value: 'FORMAT',
    help: 'text, json (the records, one a line) or csv.',
    default: 'text',
  },
  help: helpFlag,
};

export const queryHelp = `Prints the records of an audit log that meet every filter given, in the order of each replica's log.

Usage:
  osmo-admission log query FILE... [filters] [-o text|json|csv]

Rotated and compressed files, in any order. What the log says is believed: "log verify" first.
csv is RFC 4180; a cell that a spreadsheet would take for a formula begins with an apostrophe.

Flags:
${describeFlags(flags)}

Exit codes:
  0  printed, be it nothing
  2  a line or a file could not be read (such lines are named, and the rest is printed), or called wrongly

Examples:
  osmo-admission log query audit*.log* --decision deny --since 24h
  osmo-admission log query audit*.log* --kind PolicyRecord -o json
`;

/** `osmo-admission log query`. */
export async function queryLog(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(queryHelp);
    return exitCodes.ok;
  }
  const format = readOutput(parsed.string('output'), ['text', 'json', 'csv']);
  refuseSlips(parsed);
  const matches = compileQuery({
    ...Object.fromEntries(ofDecisions.map((name) => [name, parsed.string(name)])),
    ...readSpan(parsed, io),
    kind: parsed.string('kind') ?? 'AdmissionRecord',
    exempted: parsed.boolean('exempted'),
    callerVerified: readBoolean('caller-verified', parsed),
  });
  const log = await openLog(parsed.positionals, io);
  const bad = createBadLines(io, log.progress);
  let found = 0;
  if (format === 'csv') io.stdout(csvRow(columns));
  await eachLine(log, bad, (line) => {
    if (!matches(line)) return;
    found += 1;
    log.progress.clear();
    io.stdout(
      format === 'csv' ? csvRow(rowCells(line)) : format === 'json' ? `${JSON.stringify(line.value)}\n` : textOf(line),
    );
  });
  log.progress.clear();
  if (found === 0) io.stderr('no record matches\n');
  if (bad.count() > 0) io.stderr(`${plural(bad.count(), 'line')} could not be read; ${count(found)} printed\n`);
  return bad.count() > 0 ? exitCodes.failed : exitCodes.ok;
}

/** @throws UsageError for a filter that no record can meet. */
function refuseSlips(parsed: ParsedFlags): void {
  const kind = parsed.string('kind') ?? 'AdmissionRecord';
  const idle = parsed.boolean('exempted')
    ? 'exempted'
    : [...ofDecisions, 'caller-verified'].find((name) => parsed.string(name) !== undefined);
  if (kind !== 'AdmissionRecord' && idle !== undefined)
    throw new UsageError(`--${idle} is about decisions, which no ${kind} is: leave one of the two out`);
  for (const [name, known] of Object.entries(values)) {
    const given = parsed.string(name);
    if (given === undefined) continue;
    // A kind is no pattern.
    if (name === 'kind' ? known.includes(given) : known.some(compileGlob(given))) continue;
    throw new UsageError(`--${name} is ${JSON.stringify(given)}: no record says that; use ${known.join(', ')}`);
  }
}

/** @returns undefined where it is not given. @throws UsageError */
function readBoolean(name: string, parsed: ParsedFlags): boolean | undefined {
  const given = parsed.string(name);
  if (given === undefined || given === 'true' || given === 'false')
    return given === undefined ? undefined : given === 'true';
  throw new UsageError(`--${name} is ${JSON.stringify(given)}: give true or false`);
}

function rowCells(line: Line): readonly string[] {
  const row = rowOf(line);
  return columns.map((column) => row[column]);
}

/** One line, for people. */
function textOf(line: Line): string {
  const row = rowOf(line);
  const { time, replica, sequence, kind, phase, decision, user, verb, resource, namespace, name, exemptions } = row;
  if (kind !== 'AdmissionRecord') {
    const detail = [row.detail, row.policyDigest].filter((part) => part !== '').join('; ');
    return `${clip(`${time} ${replica} ${sequence} ${kind} ${detail}`, maxText)}\n`;
  }
  const object = namespace === '' ? name : `${namespace}/${name}`;
  const findings = row.findings === '' ? '' : `: ${row.findings}`;
  const exempt = exemptions === '' ? '' : `; exempt: ${exemptions}`;
  return `${clip(`${time} ${decision} ${phase} ${verb} ${resource} ${object || '(no name)'} by ${user}${findings}${exempt}`, maxText)}\n`;
}

const maxText = 2_000;
