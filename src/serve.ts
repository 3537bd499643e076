import { createAdmit } from './admission/admit.ts';
import { createReviewHandler } from './admission/handler.ts';
import { type AuditNotes, createAuditNotes } from './audit/notes.ts';
import { type CliIo, exitCodes } from './cli/io.ts';
import { readServeFlags, type ServeSettings, serveHelp } from './cli/serve-flags.ts';
import { type ClaimWatch, startClaimWatch } from './cluster/claim-watch.ts';
import { connect } from './cluster/connect.ts';
import { createLease, newIdentity } from './cluster/lease.ts';
import { hasConfiguration, readLiveInstallation } from './cluster/live-installation.ts';
import { createNodeReports, type NodeReports } from './cluster/node-reports.ts';
import { type NodeWatch, startNodeWatch } from './cluster/node-watch.ts';
import { loadNodesFile } from './cluster/nodes-file.ts';
import { createPodSource } from './cluster/pod-source.ts';
import { type Reconciler, startQuarantineReconciler } from './cluster/quarantine-reconciler.ts';
import type { PolicyStore } from './config/policy-store.ts';
import { printPolicy } from './config/print-policy.ts';
import type { Log } from './config/watch-files.ts';
import { eventNamespace, productName, quarantineLeaseName } from './manifests/objects.ts';
import { fixedClaims } from './policy/model/claims.ts';
import { type NodeSource, offlinePods } from './policy/model/snapshot.ts';
import { wantsDeviceClasses } from './policy/placement/profile.ts';
import { rules } from './policy/rules/index.ts';
import { isQuarantineExempt } from './policy/standing.ts';
import { createAdmissionListener, createApp } from './server/app.ts';
import { openServerAudit, type ServerAudit } from './server/audit.ts';
import type { Certificates } from './server/certificates.ts';
import {
  certificateCheck,
  claimsChecks,
  clientCaChecks,
  configurationChecks,
  nodeFigures,
  nodesCheck,
  policyCheck,
} from './server/checks.ts';
import { type ClientVerification, openClientVerification } from './server/client-verification.ts';
import { type ConfigurationCheck, startConfigurationCheck } from './server/configuration-check.ts';
import { type Check, createHealthApp } from './server/health.ts';
import { limitLog } from './server/limited-log.ts';
import { createMetrics, type Metrics } from './server/metrics.ts';
import { createNoteKeeper } from './server/note-keeper.ts';
import { observedEndpoint } from './server/observed-endpoint.ts';
import { openCertificates } from './server/open-certificates.ts';
import { loadPolicies } from './server/policies.ts';
import { startServer } from './server/start-server.ts';

/** What `serve` touches beside files and sockets, as arguments. */
export interface ServeWorld {
  readonly log: Log;
  /** Calls back for each signal that asks for the end. */
  readonly onStop: (listener: (signal: string) => void) => void;
  /** Of this program. */
  readonly version: string;
  /** Never blocks. @returns how many bytes it took. */
  readonly writeStdout: (bytes: Uint8Array) => Promise<number>;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly random: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Ends the process though a system call does not return. */
  readonly abandon: () => void;
}

/** Three looks of the reconciler. */
const leaseDurationMs = 15_000;

/** Lines on requests that are alike, in a minute: whoever reaches the port must not push everything else out of a rotated log. */
const maxAlikeLines = 20;

/** `osmo-admission serve`: wires everything, runs until a signal, drains. */
export async function serve(args: readonly string[], io: CliIo, world: ServeWorld): Promise<number> {
  const settings = readServeFlags(args, io.env);
  if (settings === 'help') {
    io.stdout(serveHelp);
    return exitCodes.ok;
  }
  try {
    return await runServer(settings, io, world);
  } catch (error) {
    world.log('error', 'could not start', { error: error instanceof Error ? error.message : String(error) });
    io.stderr(`osmo-admission: could not start: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

/** What is there before the first audit line. */
interface Ground {
  readonly metrics: Metrics;
  readonly policies: PolicyStore;
  readonly certificates: Certificates;
  readonly clients: ClientVerification | undefined;
  readonly audit: ServerAudit;
  readonly notes: AuditNotes;
  readonly live: Live;
}

/** What comes later, for those who ask now and then. */
interface Live {
  source?: NodeSource;
  configuration?: ConfigurationCheck;
  claims?: ClaimWatch;
  reconciler?: Reconciler;
}

/** Loads what the server cannot start without, opens the audit log, and writes its last line however the rest ends. */
async function runServer(settings: ServeSettings, io: CliIo, world: ServeWorld): Promise<number> {
  const { now } = world;
  const live: Live = {};
  let certificates: Certificates | undefined;
  let audit: ServerAudit | undefined;
  let notes: AuditNotes | undefined;
  const metrics = createMetrics({
    nodes: () => nodeFigures(live.source, now()),
    certificateExpiry: () => certificates?.current().expiresAt,
    quarantine: () => live.reconciler?.figures(),
    auditFailing: () => audit?.log.failing(),
  });
  const policies = await loadPolicies(settings, metrics, world, (policy, error) => {
    notes?.policy(policy, error);
    if (error !== '') return;
    live.configuration?.again();
    live.claims?.follow();
  });
  const opened = await openCertificates({
    ...settings,
    ...world,
    env: io.env,
    identity: newIdentity(world.random),
    metrics: metrics.render,
    onReload: (outcome, pair, error) => {
      metrics.certificateReload(outcome);
      notes?.certificate(pair, error);
    },
  });
  if (opened === undefined) {
    policies.close();
    return exitCodes.ok;
  }
  certificates = opened.certificates;
  try {
    const clients = await openClientVerification(settings, metrics, world);
    const { client } = settings;
    const callerVerification = client === undefined ? 'off' : client.required ? 'required' : 'on';
    audit = await openServerAudit(settings.audit, { metrics, callerVerification, ...world });
    notes = createAuditNotes(audit.log, { now, print: printPolicy });
    notes.policy(policies.current(), '');
    if (policies.status().outcome === 'failure') notes.policy(policies.current(), policies.status().error);
    notes.certificate(certificates.current(), certificates.error());
    return await judge(settings, io, world, { metrics, policies, certificates, clients, audit, notes, live });
  } catch (error) {
    await audit?.end(`failed: ${error instanceof Error ? error.message : String(error)}`, 0);
    throw error;
  } finally {
    await opened.stop();
  }
}

/** Judges until a signal, and drains. */
async function judge(
  settings: ServeSettings,
  io: CliIo,
  world: ServeWorld,
  { metrics, policies, certificates, clients, audit, notes, live }: Ground,
): Promise<number> {
  const { log, now } = world;
  const startedMs = now();
  let source: NodeSource;
  let pods = offlinePods;
  let watch: NodeWatch | undefined;
  let claims: ClaimWatch | undefined;
  let configuration: ConfigurationCheck | undefined;
  let reconciler: Reconciler | undefined;
  let reports: NodeReports | undefined;
  if (settings.nodes !== undefined) source = await loadNodesFile(settings.nodes);
  else {
    const client = await connect({ ...settings, env: io.env });
    pods = createPodSource(client);
    reports = createNodeReports({
      client,
      policy: policies.current,
      searchPods: settings.searchPods,
      component: productName,
      namespace: eventNamespace,
      log,
      onReport: metrics.nodeReported,
      now,
    });
    const watchWorld = { client, log, now, random: world.random, sleep: world.sleep };
    watch = startNodeWatch({ ...watchWorld, onChange: reports.changed });
    source = watch;
    claims = startClaimWatch({ ...watchWorld, wanted: () => wantsDeviceClasses(policies.current()) });
    configuration = startConfigurationCheck({
      read: (labels, exceptNamespaces, signal) =>
        readLiveInstallation(client, { name: productName, labels, exceptNamespaces, signal }),
      searchPods: settings.searchPods,
      rules,
      policy: policies.current,
      served: () => certificates.current().cert.toString('latin1'),
      namespace: settings.namespace,
      intervalMs: settings.reloadIntervalMs,
      log,
      onChecked: (gaps) => {
        metrics.configurationChecked(gaps.length);
        notes.configuration(gaps);
      },
      now,
      sleep: world.sleep,
    });
    reconciler = startQuarantineReconciler({
      client,
      lease: createLease({
        client,
        namespace: settings.namespace,
        name: quarantineLeaseName,
        identity: newIdentity(world.random),
        durationMs: leaseDurationMs,
        now,
      }),
      nodes: watch,
      policy: policies.current,
      isInstalled: (signal) => hasConfiguration(client, productName, signal),
      isExempt: (node, policy) => isQuarantineExempt(node, policy, now()),
      log,
      onWrite: metrics.marksWritten,
      now,
      sleep: world.sleep,
    });
  }
  const nodes = source;
  Object.assign(live, { source, configuration, claims, reconciler });
  const admit = createAdmit({
    rules,
    policy: policies.current,
    nodes,
    pods,
    notes: createNoteKeeper(certificates),
    classesOf: claims?.classesOf ?? fixedClaims([], 'no cluster is watched'),
    now,
    monotonic: world.monotonic,
  });
  const requestLog = limitLog({ log, most: maxAlikeLines, now });
  const handler = createReviewHandler({
    ...{ admit, rules, observer: metrics, log: requestLog },
    audit: audit.log,
    monotonic: world.monotonic,
  });
  const endpoint = observedEndpoint(handler, metrics, requestLog, world.monotonic, clients?.callers);
  const checks = (): readonly Check[] => [
    policyCheck(policies),
    certificateCheck(certificates.error(), certificates.current().expiresAt, now()),
    ...clientCaChecks(clients?.ca, now()),
    nodesCheck(nodes, watch, now() - startedMs),
    ...claimsChecks(claims, now() - startedMs),
    ...configurationChecks(configuration),
    audit.check(),
    { name: 'serving', state: server.draining() ? 'failed' : 'ok', detail: server.draining() ? 'shutting down' : '' },
  ];
  const server = await startServer({
    listener: createAdmissionListener(endpoint, createApp()),
    health: createHealthApp({ checks, metrics: metrics.render }),
    certificates,
    clientCa: clients?.ca,
    host: settings.host,
    port: settings.port,
    healthHost: settings.healthHost,
    healthPort: settings.healthPort,
    log,
    onClientError: metrics.clientError,
    onTlsError: metrics.tlsError,
  });
  let stoppedBy = '';
  let drainedByMs = 0;
  const drained = new Promise<number>((resolve, reject) => {
    world.onStop((signal) => {
      stoppedBy ||= signal;
      drainedByMs ||= world.monotonic() + settings.shutdownDelayMs + settings.shutdownTimeoutMs;
      log('info', 'stopping', { signal, shutdownDelaySeconds: settings.shutdownDelayMs / 1000 });
      server.drain(settings).then(resolve, reject);
    });
  });
  log('info', 'serving', {
    admissionPort: server.admissionPort,
    healthPort: server.healthPort,
    policyDigest: policies.current().digest,
    preset: policies.current().policy.preset,
  });
  const cut = await drained;
  policies.close();
  await configuration?.stop();
  await reconciler?.stop();
  await reports?.stop();
  await claims?.stop();
  // Closes the client, too.
  await watch?.stop();
  await audit.end(stoppedBy, drainedByMs - world.monotonic());
  log(cut === 0 ? 'info' : 'error', 'stopped', { requestsCutOff: cut });
  return exitCodes.ok;
}
