import { type Entry, isLine, type Line, placeText, text } from '../../audit/read/entry.ts';
import type { Span } from '../../audit/read/spans.ts';
import { createSummarizer } from '../../audit/read/summary.ts';
import { compileDefaults, createPolicyParser, PolicyFileError } from '../../config/parse.ts';
import { formatPath } from '../../config/source.ts';
import { defaultNamespace } from '../../manifests/objects.ts';
import { conformanceId } from '../../policy/facts/conformance.ts';
import { lacksOf } from '../../policy/lacks.ts';
import type { CompiledPolicy } from '../../policy/model/policy.ts';
import { rules } from '../../policy/rules/index.ts';
import type { CheckedAgainst, LiveNodes, PolicyInForce, ReportData } from '../../report/data.ts';
import { createDenialCounter } from '../../report/denials.ts';
import { createRecordEncoder } from '../../report/encode.ts';
import { createHistorian } from '../../report/history.ts';
import { createNodeLog } from '../../report/node-log.ts';
import { createCounter, createSampler } from '../../report/sample.ts';
import { rulesOfPlot } from '../../report/stopped.ts';
import { reviewCluster } from '../cluster-review.ts';
import { type CliIo, UsageError } from '../io.ts';
import { loadCluster, loadPolicy, readText } from '../review.ts';
import { reconcileFiles } from './reconcile.ts';
import { createScopes } from './scopes.ts';
import { loadPublicKey, verifyChains } from './verify.ts';
import { createBadLines, eachLine, openLog } from './walk.ts';

export interface ReportInput {
  readonly files: readonly string[];
  readonly apiFiles: readonly string[];
  readonly keyFiles: readonly string[];
  readonly kubeconfig: string | undefined;
  readonly nodesFile: string | undefined;
  readonly config: string | undefined;
  readonly span: Span;
  readonly maxRecords: number;
}

/**
 * Reads all that a report says: the log twice, to know its time and size before records are chosen, and as often again as the comparison
 * with the API server's log needs.
 * @throws UsageError, PolicyFileError, AccessError or NodesFileError for what cannot be read.
 */
export async function gatherReport(input: ReportInput, io: CliIo): Promise<ReportData> {
  const { apiFiles, span, config } = input;
  if (input.kubeconfig !== undefined && input.nodesFile !== undefined) {
    throw new UsageError('give --nodes or --kubeconfig, not both: live nodes come from one source');
  }
  const trusted = await Promise.all(input.keyFiles.map(loadPublicKey));
  const given = config === undefined ? undefined : await loadPolicy(config);
  const log = await openLog(input.files, io, {
    passes: apiFiles.length > 0 ? 4 : 2,
    more: [...apiFiles, ...apiFiles],
  });
  const bad = createBadLines(io, log.progress);
  const isIn = ({ header }: Line): boolean => {
    const ms = Date.parse(header.time);
    // What bears no time that can be read is left out by none.
    return !(ms < span.fromMs || ms > span.toMs);
  };

  const summarizer = createSummarizer(false);
  const historian = createHistorian();
  const counter = createCounter();
  let errors = 0;
  let undated = 0;
  const first = (entry: Entry): void => {
    if (!isLine(entry)) bad.add(placeText(entry.place));
    if (!isLine(entry) || !isIn(entry)) return;
    summarizer.line(entry);
    historian.add(entry);
    counter.add(entry);
    if (Number.isNaN(Date.parse(entry.header.time))) undated += 1;
    if (entry.header.kind === 'AdmissionRecord' && text(entry.value, 'decision') === 'error') errors += 1;
  };
  const chains = await verifyChains(log, trusted, first);
  const summary = summarizer.summary();

  const sampling = counter.sampling(input.maxRecords);
  const isKept = createSampler(sampling);
  const denials = createDenialCounter(Date.parse(summary.from), Date.parse(summary.to), rulesOfPlot(summary));
  const nodeLog = createNodeLog(conformanceId);
  const encoder = createRecordEncoder();
  const quiet = { ...bad, add: () => undefined };
  await eachLine(log, quiet, (line) => {
    if (!isIn(line)) return;
    denials.add(line);
    nodeLog.add(line);
    if (isKept(line)) encoder.add(line);
  });

  const history = historian.history();
  const last = given ?? readLast(history.lastPolicyText);
  let reconciliation: CheckedAgainst | undefined;
  if (apiFiles.length > 0) {
    const scopes = createScopes(defaultNamespace);
    if (config !== undefined) scopes.always(await readText(config), config);
    const onlyEvents = {
      ...bad,
      add: (where: string) => (apiFiles.some((file) => where.startsWith(`${file}:`)) ? bad.add(where) : undefined),
    };
    const found = await reconcileFiles({ log, apiFiles, bad: onlyEvents, span, scopes, learns: config === undefined });
    reconciliation = { ...found, scope: scopes.known() };
  }
  log.progress.clear();
  return {
    ...{ nowMs: io.now(), files: log.chains.flatMap(({ files }) => files), summary, history, errors },
    ...{
      denials: denials.denials(),
      chains,
      trusted: trusted.length > 0,
      reconciliation,
      badLines: bad.count(),
      undated,
      span,
    },
    policy: policyInForce(last, io.now()),
    nodes: { logged: nodeLog.nodes(), live: await liveNodes(input, last, io) },
    ...{ sampling, records: encoder.finish() },
  };
}

/** The policy whose text the log holds; undefined where it holds none, or another version wrote it. */
function readLast(policyText: string): CompiledPolicy | undefined {
  if (policyText === '') return undefined;
  try {
    return createPolicyParser({ rules, ownNamespace: defaultNamespace })(policyText, 'the last policy of the log');
  } catch (error) {
    if (error instanceof PolicyFileError) return undefined;
    throw error;
  }
}

function policyInForce(policy: CompiledPolicy | undefined, nowMs: number): PolicyInForce | undefined {
  if (policy === undefined) return undefined;
  const lacks = lacksOf(policy, rules, nowMs);
  return {
    digest: policy.digest,
    exemptions: policy.policy.exemptions,
    lacks: lacks.map(({ path, message }) => `${formatPath(path)} ${message}`),
    lowered: lacks.filter(({ path: [section, , member] }) => section === 'rules' && member === 'enforcement').length,
  };
}

async function liveNodes(
  { nodesFile, kubeconfig }: ReportInput,
  last: CompiledPolicy | undefined,
  io: CliIo,
): Promise<LiveNodes | undefined> {
  const policy = last ?? compileDefaults({ rules });
  const cluster = await loadCluster(nodesFile, kubeconfig, policy);
  if (cluster === undefined) return undefined;
  const { nodes: standings, unread } = reviewCluster(cluster, policy, io.now());
  const source = nodesFile === undefined ? `the cluster of ${kubeconfig}` : `the file ${nodesFile}`;
  return { source, standings, unread };
}
