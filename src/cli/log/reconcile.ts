import { agreementOf } from '../../audit/read/agreement.ts';
import { placeText } from '../../audit/read/entry.ts';
import { createReconciler, type Reconciliation } from '../../audit/read/reconcile.ts';
import type { Span } from '../../audit/read/spans.ts';
import { defaultNamespace } from '../../manifests/objects.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from '../flags.ts';
import { installedFlag } from '../installed-flag.ts';
import { type CliIo, exitCodes, UsageError } from '../io.ts';
import { readText } from '../review.ts';
import { eachEvent } from './events.ts';
import { readOutput } from './output.ts';
import { type ReconciliationReport, reconciliationObject, renderReconciliation } from './render-reconcile.ts';
import { createScopes, type Scopes } from './scopes.ts';
import { readSpan, timeFlags } from './times.ts';
import { apiEventText, type BadLines, createBadLines, eachLine, type LogFiles, openLog } from './walk.ts';

const flags: Flags = {
  'api-audit': {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'The API server’s audit log: JSON lines, compressed or not. May be given several times.',
  },
  config: {
    type: 'string',
    value: 'FILE',
    help: 'The policy that says which requests are ours.',
    default: 'the policies that the log itself holds, each for its time',
  },
  namespace: installedFlag,
  ...timeFlags,
  output: { type: 'string', short: 'o', value: 'FORMAT', help: 'text or json.', default: 'text' },
  help: helpFlag,
};

export const reconcileHelp = `Holds an audit log against the API server's own, which the webhook's host cannot rewrite.

Usage:
  osmo-admission log reconcile FILE... --api-audit FILE... [--config FILE] [--since TIME] [--until TIME] [-o text|json]

The join is the audit annotation <webhook>/record-hash of the API server's events. Named are:

  missing     the API server knows of an answer whose record is not there
  unknown     a record of an answer that the API server does not know
  differs     both know the call, by another hash: the record was changed
  twice       a record that stands in the log more than once
  failed open the API server went on without the webhook, by its own annotation
  unseen      a request in scope of the policy went through, and the webhook was not asked

Shown too, and no mismatch:

  unanswered  a record of a call that failed by the API server's own log: a server that is killed leaves some

Give the logs of all replicas. Take the copy of the API server's log first, then that of the webhook's. The API server must log what the webhook judges
at level Metadata at least. At that level creations and bindings are judged; updates, and creations that labels put in scope, need level Request.

Flags:
${describeFlags(flags)}

Exit codes:
  0  the logs agree
  1  something is named, or nothing could be compared
  2  a file or a line could not be read, or called wrongly
  3  they agree as far as they were compared: the log holds no policy for a part of the time, or only one log covers it. --config, more files, or
     --since and --until with a time that both cover lead to 0 or 1
`;

/** `osmo-admission log reconcile`. */
export async function reconcileLogs(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(reconcileHelp);
    return exitCodes.ok;
  }
  const format = readOutput(parsed.string('output'), ['text', 'json']);
  const apiFiles = [...new Set(parsed.strings('api-audit'))];
  if (apiFiles.length === 0) throw new UsageError('give the API server’s audit log: --api-audit FILE');
  const namespace = parsed.string('namespace') ?? defaultNamespace;
  const scopes = createScopes(namespace);
  const config = parsed.string('config');
  if (config !== undefined) scopes.always(await readText(config), config);
  const log = await openLog(parsed.positionals, io, { passes: 2, more: [...apiFiles, ...apiFiles] });
  const bad = createBadLines(io, log.progress);
  const found = await reconcileFiles({
    log,
    apiFiles,
    bad,
    span: readSpan(parsed, io),
    scopes,
    learns: config === undefined,
  });
  log.progress.clear();
  const report: ReconciliationReport = { ...found, scope: scopes.known(), verdict: agreementOf(found) };
  io.stdout(format === 'json' ? reconciliationObject(report) : renderReconciliation(report));
  if (report.verdict === 'differ') return exitCodes.denied;
  if (bad.count() > 0) return exitCodes.failed;
  if (report.verdict === 'nothing compared') return exitCodes.denied;
  return report.verdict === 'agree' ? exitCodes.ok : exitCodes.partly;
}

const policyText = 'record of a policy that has the digest which it names';

export interface Reconciling {
  /** Read twice. */
  readonly log: LogFiles;
  /** Read once, or twice where something does not match. */
  readonly apiFiles: readonly string[];
  readonly bad: BadLines;
  readonly span: Span;
  readonly scopes: Scopes;
  /** Whether the scopes are those of the policies that the log holds. */
  readonly learns: boolean;
}

/** Holds a log against the API server's. */
export async function reconcileFiles(
  given: Reconciling,
): Promise<Reconciliation & Pick<ReconciliationReport, 'repeated'>> {
  const { log, apiFiles, bad, span, scopes, learns } = given;
  const reconciler = createReconciler(span, log.lines);
  await eachLine(log, bad, (line) => {
    reconciler.record(line);
    if (learns && !scopes.learn(line)) bad.add(placeText(line.place), policyText);
  });
  const repeated = await eachEvent(apiFiles, log, (event, where) => {
    if (event === 'bad') bad.add(where, apiEventText);
    else reconciler.event(event, scopes.at(event.receivedMs));
  });
  await eachLine(log, { ...bad, add: () => undefined }, reconciler.recordAgain);
  if (!reconciler.isClear()) {
    await eachEvent(apiFiles, log, (event) => {
      if (event !== 'bad') reconciler.eventAgain(event);
    });
  }
  return { ...reconciler.report(), repeated };
}
