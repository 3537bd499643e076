import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AdmissionObserver } from '../policy/model/observer.ts';
import type { AuditRecord } from '../policy/model/record.ts';
import type { ChangeReason } from '../policy/node-changes.ts';
import { refusals, type UnverifiedReason } from './caller.ts';

/** Where gauges get their values when they are scraped. */
export interface MetricSources {
  readonly nodes: () => { readonly state: string; readonly count: number; readonly ageSeconds: number | undefined };
  /** Seconds of the Unix epoch; undefined before a certificate is loaded. */
  readonly certificateExpiry: () => number | undefined;
  /** Undefined where no reconciler runs. */
  readonly quarantine: () =>
    | { readonly leading: boolean; readonly marked: number; readonly reported: number }
    | undefined;
  /** Whether the last audit records could not be written; undefined before there is a log. */
  readonly auditFailing: () => boolean | undefined;
}

export interface Metrics extends AdmissionObserver {
  clientError(kind: string): void;
  tlsError(): void;
  /** Lines of the audit log that one sink does not have. */
  auditLost(sink: string, lines: number): void;
  /** Something about the audit file failed that lost no line. */
  auditFault(operation: string): void;
  policyReload(outcome: 'success' | 'failure', digest: string, nowSeconds: number): void;
  certificateReload(outcome: 'success' | 'failure'): void;
  clientCaReload(outcome: 'success' | 'failure'): void;
  /** A review came from a caller that is not verified. */
  unverified(reason: UnverifiedReason): void;
  /** The reconciler wrote the marks of a node, or failed to. */
  marksWritten(outcome: 'success' | 'failure'): void;
  /** A node changed in a way that no admission request shows. */
  nodeReported(reason: ChangeReason): void;
  /** The policy was compared with the live webhook configurations. */
  configurationChecked(gaps: number): void;
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/**
 * From 0.1 ms, about what a decision takes, to 10 s, the API server's default patience: each some two and a half times the one
 * before.
 */
const buckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10];

/**
 * All metrics, in a registry of their own. No label takes a value that a user can choose: no names, namespaces or paths. Rules,
 * reasons, operations and enforcements come from fixed lists.
 */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const name = (suffix: string): string => `osmo_admission_${suffix}`;
  const decisions = new Counter({
    name: name('decisions_total'),
    help: 'Findings of decisions, by rule, reason, operation and enforcement; a decision without a finding counts once with reason "none".',
    labelNames: ['rule', 'reason', 'operation', 'enforcement'],
    registers,
  });
  const requests = new Counter({
    name: name('requests_total'),
    help: 'Reviews answered, by path and decision (allow, deny, error).',
    labelNames: ['path', 'decision', 'dry_run'],
    registers,
  });
  const duration = new Histogram({
    name: name('duration_seconds'),
    help: 'Time from the parsed review to the answer, by path.',
    labelNames: ['path'],
    buckets,
    registers,
  });
  const patched = new Counter({ name: name('patches_total'), help: 'Reviews answered with a patch.', registers });
  const exempted = new Counter({
    name: name('exempted_total'),
    help: 'Reviews in which an exemption kept a rule from judging.',
    registers,
  });
  const failures = new Counter({
    name: name('failures_total'),
    help: 'Reviews that were not answered: malformed, undecided (a look-up failed), unrecorded (no audit record could be written) or internal.',
    labelNames: ['kind'],
    registers,
  });
  const clientErrors = new Counter({
    name: name('client_errors_total'),
    help: 'Requests that were refused before they were read as a review.',
    labelNames: ['kind'],
    registers,
  });
  const tlsErrors = new Counter({ name: name('tls_errors_total'), help: 'TLS handshakes that failed.', registers });
  const auditLost = new Counter({
    name: name('audit_lost_records_total'),
    help: 'Audit records that could not be written, by sink.',
    labelNames: ['sink'],
    registers,
  });
  for (const sink of ['stdout', 'file']) auditLost.inc({ sink }, 0);
  const auditFaults = new Counter({
    name: name('audit_faults_total'),
    help: 'What failed about the audit file and lost no record: mend, sync, rotate, compress, remove.',
    labelNames: ['operation'],
    registers,
  });
  for (const operation of ['mend', 'sync', 'rotate', 'compress', 'remove', 'shared', 'mode'])
    auditFaults.inc({ operation }, 0);
  gauge(registry, name('audit_failing'), '1 while the last audit records could not be written.', () => {
    const failing = sources.auditFailing();
    return failing === undefined ? undefined : Number(failing);
  });
  const policyInfo = new Gauge({
    name: name('policy_info'),
    help: 'The policy in force, by digest.',
    labelNames: ['digest'],
    registers,
  });
  const policyReloads = new Counter({
    name: name('policy_reloads_total'),
    help: 'Attempts to load the policy file.',
    labelNames: ['outcome'],
    registers,
  });
  const policyLoaded = new Gauge({
    name: name('policy_last_success_timestamp_seconds'),
    help: 'When the policy in force was loaded.',
    registers,
  });
  const policyFailing = new Gauge({
    name: name('policy_reload_failing'),
    help: '1 while the policy file is refused and the last good policy stays in force.',
    registers,
  });
  const certificateReloads = new Counter({
    name: name('certificate_reloads_total'),
    help: 'Attempts to load the serving certificate.',
    labelNames: ['outcome'],
    registers,
  });
  const clientCaReloads = new Counter({
    name: name('client_ca_reloads_total'),
    help: 'Attempts to load the authorities of client certificates; 0 where there is no --client-ca-file.',
    labelNames: ['outcome'],
    registers,
  });
  const unverified = new Counter({
    name: name('unverified_reviews_total'),
    help: 'Reviews from callers that are not verified, by why; 0 where there is no --client-ca-file.',
    labelNames: ['reason'],
    registers,
  });
  for (const reason of Object.keys(refusals)) unverified.inc({ reason }, 0);
  const marksWritten = new Counter({
    name: name('quarantine_writes_total'),
    help: 'Writes of marks to nodes outside any admission request.',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of ['success', 'failure']) marksWritten.inc({ outcome }, 0);
  const nodeReports = new Counter({
    name: name('node_reports_total'),
    help: 'Changes of live nodes that were reported: new violations, capacity that shrank, another type under running workflow pods, marks. Each replica counts what it sees.',
    labelNames: ['reason'],
    registers,
  });
  gauge(registry, name('quarantined_nodes'), 'Nodes that bear the mark.', () => sources.quarantine()?.marked);
  gauge(
    registry,
    name('quarantine_reported_nodes'),
    'Nodes that violate a fact under quarantine and are not marked, since they were verified or there before; on the replica that leads.',
    () => (sources.quarantine()?.leading === true ? sources.quarantine()?.reported : undefined),
  );
  gauge(registry, name('quarantine_leading'), '1 on the replica that sets marks.', () => {
    const figures = sources.quarantine();
    return figures === undefined ? undefined : Number(figures.leading);
  });
  const configurationChecks = new Counter({
    name: name('configuration_checks_total'),
    help: 'Comparisons of the policy with the live webhook configurations.',
    registers,
  });
  let configurationGaps: number | undefined;
  gauge(
    registry,
    name('configuration_gaps'),
    'Differences between the webhook configurations that the policy needs and the live ones, and namespaces with workflow pods that it does not list.',
    () => configurationGaps,
  );
  for (const kind of ['malformed', 'undecided', 'unrecorded', 'internal']) failures.inc({ kind }, 0);
  for (const outcome of ['success', 'failure']) {
    policyReloads.inc({ outcome }, 0);
    certificateReloads.inc({ outcome }, 0);
    clientCaReloads.inc({ outcome }, 0);
  }
  gauge(registry, name('certificate_expiry_timestamp_seconds'), 'When the serving certificate expires.', () =>
    sources.certificateExpiry(),
  );
  gauge(registry, name('node_cache_nodes'), 'Nodes in the cache.', () => sources.nodes().count);
  gauge(
    registry,
    name('node_cache_age_seconds'),
    'Time since the API server last confirmed the node cache.',
    () => sources.nodes().ageSeconds,
  );
  gauge(registry, name('node_cache_synced'), '1 while the node cache is complete and fresh.', () =>
    sources.nodes().state === 'synced' ? 1 : 0,
  );
  gauge(registry, name('resident_memory_bytes'), 'Resident memory of the process.', () => process.memoryUsage.rss());

  return {
    decided(record) {
      const path = `/${record.phase}`;
      requests.inc({ path, decision: record.decision, dry_run: String(record.dryRun) });
      duration.observe({ path }, record.durationSeconds);
      if (record.patch.length > 0) patched.inc();
      if (record.exemptions.length > 0) exempted.inc();
      countFindings(decisions, record);
    },
    failed: (kind) => failures.inc({ kind }),
    clientError: (kind) => clientErrors.inc({ kind }),
    tlsError: () => tlsErrors.inc(),
    auditLost: (sink, lines) => auditLost.inc({ sink }, lines),
    auditFault: (operation) => auditFaults.inc({ operation }),
    policyReload(outcome, digest, nowSeconds) {
      policyReloads.inc({ outcome });
      policyFailing.set(outcome === 'failure' ? 1 : 0);
      policyInfo.reset();
      policyInfo.set({ digest }, 1);
      if (outcome === 'success') policyLoaded.set(nowSeconds);
    },
    nodeReported: (reason) => nodeReports.inc({ reason }),
    marksWritten: (outcome) => marksWritten.inc({ outcome }),
    configurationChecked(gaps) {
      configurationChecks.inc();
      configurationGaps = gaps;
    },
    certificateReload: (outcome) => certificateReloads.inc({ outcome }),
    clientCaReload: (outcome) => clientCaReloads.inc({ outcome }),
    unverified: (reason) => unverified.inc({ reason }),
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

function countFindings(decisions: Counter<'rule' | 'reason' | 'operation' | 'enforcement'>, record: AuditRecord): void {
  const operation = record.verb;
  if (record.findings.length === 0) {
    for (const rule of record.rules) decisions.inc({ rule, reason: 'none', operation, enforcement: 'none' });
  }
  for (const { rule, reason, enforcement } of record.findings) decisions.inc({ rule, reason, operation, enforcement });
}

/** A gauge that asks for its value when it is scraped; no value, no sample. */
function gauge(registry: Registry, name: string, help: string, read: () => number | undefined): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const value = read();
      if (value === undefined) this.remove();
      else this.set(value);
    },
  });
}
