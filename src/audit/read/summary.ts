import { field } from '../../policy/model/read.ts';
import type { ApiEvent } from './api-event.ts';
import { type ConfigurationGap, createConfigurationGaps } from './configuration-gaps.ts';
import { type Line, number, object, objects, text } from './entry.ts';
import { between, type Span, unionOf } from './spans.ts';

/** How often each of many values came up; the most frequent first. */
export type Tally = readonly { readonly value: string; readonly count: number }[];

export interface PolicyVersion {
  readonly digest: string;
  readonly preset: string;
  /** When it came into force first, and how many records say so: one for each replica, boot and change. */
  readonly from: string;
  readonly count: number;
}

/** A time of which a replica's log says nothing. */
export interface TimeGap {
  readonly replica: string;
  readonly from: string;
  readonly to: string;
  /** Whether the boot before it ended in order. */
  readonly orderly: boolean;
}

export interface Summary {
  readonly from: string;
  readonly to: string;
  readonly lines: number;
  readonly replicas: Tally;
  readonly boots: number;
  /** `validate deny`. */
  readonly decisions: Tally;
  readonly dryRuns: number;
  /** Digests of the policies that they were made by. */
  readonly byPolicy: Tally;
  readonly denials: {
    readonly byRule: Tally;
    readonly byReason: Tally;
    readonly byUser: Tally;
    readonly byNamespace: Tally;
  };
  /** Findings that denied nothing. */
  readonly otherFindings: Tally;
  readonly exemptions: Tally;
  readonly policies: readonly PolicyVersion[];
  readonly refusedPolicies: number;
  readonly certificates: Tally;
  /** How often the log says whether the API server sends what the policy covers; never: nobody knows. */
  readonly comparisons: number;
  /** Times at which the API server did not send what the policy covers. */
  readonly configurationGaps: readonly ConfigurationGap[];
  readonly noServer: readonly TimeGap[];
  /** Times of which no replica's log that was given says anything. */
  readonly noReplica: readonly Pick<TimeGap, 'from' | 'to'>[];
  readonly lost: number;
  /** Undefined where the API server's log was not given. */
  readonly failedOpen: Tally | undefined;
}

export interface Summarizer {
  line(line: Line): void;
  event(event: ApiEvent): void;
  summary(): Summary;
}

/** More users, namespaces and the like than this are counted together: their number must not fill the memory. */
const maxValues = 10_000;
const maxGaps = 1_000;

/** Sums up lines; each replica's in their order. */
export function createSummarizer(withEvents: boolean): Summarizer {
  const tallies = {
    ...{
      replicas: createTally(),
      decisions: createTally(),
      byPolicy: createTally(),
      byRule: createTally(),
      byReason: createTally(),
    },
    ...{ byUser: createTally(), byNamespace: createTally(), otherFindings: createTally(), exemptions: createTally() },
    ...{ certificates: createTally(), failedOpen: createTally() },
  };
  const policies = new Map<string, { preset: string; from: string; count: number }>();
  const noServer: TimeGap[] = [];
  const configuration = createConfigurationGaps();
  /** When some replica ran, as far as its lines tell. */
  let running: readonly Span[] = [];
  let run: { readonly fromMs: number; toMs: number } | undefined;
  const counts = { lines: 0, boots: 0, dryRuns: 0, refusedPolicies: 0, comparisons: 0, lost: 0 };
  let [from, to] = ['', ''];
  let [fromMs, toMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let before: { readonly replica: string; readonly boot: string; time: string; orderly: boolean } | undefined;

  const decision = (value: Line['value']): void => {
    const outcome = text(value, 'decision');
    tallies.decisions.add(`${text(value, 'phase')} ${outcome}`);
    tallies.byPolicy.add(text(value, 'policyDigest'));
    if (field(value, 'dryRun') === true) counts.dryRuns += 1;
    for (const exemption of objects(value, 'exemptions')) tallies.exemptions.add(text(exemption, 'reason'));
    for (const finding of objects(value, 'findings')) {
      const [rule, reason, enforcement] = [
        text(finding, 'rule'),
        text(finding, 'reason'),
        text(finding, 'enforcement'),
      ];
      if (outcome !== 'deny' || enforcement !== 'enforce')
        tallies.otherFindings.add(`${rule}/${reason} (${enforcement})`);
      else {
        tallies.byRule.add(rule);
        tallies.byReason.add(`${rule}/${reason}`);
      }
    }
    if (outcome !== 'deny') return;
    tallies.byUser.add(text(object(value, 'user'), 'username'));
    tallies.byNamespace.add(text(object(value, 'objectRef'), 'namespace') || '(cluster)');
  };

  const policy = ({ header, value }: Line): void => {
    if (text(value, 'outcome') !== 'loaded') {
      counts.refusedPolicies += 1;
      return;
    }
    const digest = text(value, 'digest');
    const known = policies.get(digest) ?? { preset: text(value, 'preset'), from: header.time, count: 0 };
    if (header.time < known.from) known.from = header.time;
    known.count += 1;
    if (policies.size < maxValues || policies.has(digest)) policies.set(digest, known);
  };

  const byKind: Readonly<Record<string, (line: Line) => void>> = {
    AdmissionRecord: ({ value }) => decision(value),
    PolicyRecord: policy,
    CertificateRecord: ({ value }) =>
      tallies.certificates.add(`${text(value, 'outcome')}, good to ${text(value, 'notAfter')}`),
    ConfigurationRecord() {
      counts.comparisons += 1;
    },
    GapRecord({ value }) {
      counts.lost += number(value, 'lost');
    },
  };

  const endRun = (): void => {
    // Times that touch are one: as many are kept as there were times without any server.
    if (run !== undefined && running.length < maxGaps) running = unionOf([...running, run]);
    run = undefined;
  };
  const noReplica = (): Summary['noReplica'] => {
    endRun();
    return between(running).map(({ fromMs, toMs }) => ({
      from: new Date(fromMs).toISOString(),
      to: new Date(toMs).toISOString(),
    }));
  };

  return {
    line(line) {
      const { replica, boot, time, kind } = line.header;
      counts.lines += 1;
      const ms = Date.parse(time);
      // A time that cannot be read is neither.
      if (ms < fromMs) [from, fromMs] = [time, ms];
      if (ms > toMs) [to, toMs] = [time, ms];
      tallies.replicas.add(replica);
      configuration.see(line);
      if (before?.boot !== boot) {
        endRun();
        counts.boots += 1;
        if (before?.replica === replica && noServer.length < maxGaps) {
          noServer.push({ replica, from: before.time, to: time, orderly: before.orderly });
        }
        before = { replica, boot, time, orderly: false };
      }
      before.time = time;
      if (run === undefined && !Number.isNaN(ms)) run = { fromMs: ms, toMs: ms };
      else if (run !== undefined && ms > run.toMs) run.toMs = ms;
      if (kind === 'LogStop') before.orderly = true;
      if (Object.hasOwn(byKind, kind)) byKind[kind]?.(line);
    },
    event(event) {
      for (const webhook of event.failedOpen) tallies.failedOpen.add(webhook);
    },
    summary: () => ({
      ...{ from, to, lines: counts.lines, replicas: tallies.replicas.list(), boots: counts.boots },
      ...{ decisions: tallies.decisions.list(), dryRuns: counts.dryRuns, byPolicy: tallies.byPolicy.list() },
      denials: {
        ...{ byRule: tallies.byRule.list(), byReason: tallies.byReason.list() },
        ...{ byUser: tallies.byUser.list(), byNamespace: tallies.byNamespace.list() },
      },
      ...{ otherFindings: tallies.otherFindings.list(), exemptions: tallies.exemptions.list() },
      policies: [...policies]
        .map(([digest, version]) => ({ digest, ...version }))
        .sort((a, b) => (a.from < b.from ? -1 : 1)),
      ...{ refusedPolicies: counts.refusedPolicies, certificates: tallies.certificates.list() },
      ...{
        comparisons: counts.comparisons,
        configurationGaps: configuration.list(),
        ...{ noServer, noReplica: noReplica() },
        lost: counts.lost,
      },
      failedOpen: withEvents ? tallies.failedOpen.list() : undefined,
    }),
  };
}

function createTally(): { add(value: string): void; list(): Tally } {
  const counts = new Map<string, number>();
  let others = 0;
  return {
    add(value) {
      const known = counts.get(value);
      if (known !== undefined || counts.size < maxValues) counts.set(value, (known ?? 0) + 1);
      else others += 1;
    },
    list: () => [
      ...[...counts]
        .map(([value, count]) => ({ value, count }))
        .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1)),
      ...(others === 0 ? [] : [{ value: '(others)', count: others }]),
    ],
  };
}
