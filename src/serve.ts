import { hostname } from 'node:os';
import { createAdmit } from './admission/admit.ts';
import { createReviewHandler } from './admission/handler.ts';
import { createLineSink, openAuditFile, type WriteChunk } from './audit/sink.ts';
import { type CliIo, exitCodes } from './cli/io.ts';
import { readServeFlags, type ServeSettings, serveHelp } from './cli/serve-flags.ts';
import { loadInClusterAccess, loadKubeconfigAccess } from './cluster/access.ts';
import { createApiClient } from './cluster/api-client.ts';
import { type ClaimWatch, startClaimWatch } from './cluster/claim-watch.ts';
import { createLease } from './cluster/lease.ts';
import { hasConfiguration, readLiveInstallation } from './cluster/live-installation.ts';
import { createNodeReports, type NodeReports } from './cluster/node-reports.ts';
import { type NodeWatch, startNodeWatch } from './cluster/node-watch.ts';
import { loadNodesFile } from './cluster/nodes-file.ts';
import { createPodSource } from './cluster/pod-source.ts';
import { type Reconciler, startQuarantineReconciler } from './cluster/quarantine-reconciler.ts';
import { defaultIdleTimeoutMs } from './cluster/resource-watch.ts';
import { compileDefaults, createPolicyParser } from './config/parse.ts';
import { type PolicyStore, startPolicyStore } from './config/policy-store.ts';
import type { Log } from './config/watch-files.ts';
import { eventNamespace, productName, quarantineLeaseName } from './manifests/objects.ts';
import { fixedClaims } from './policy/model/claims.ts';
import { serviceAccountUser } from './policy/model/request.ts';
import { type NodeSource, offlinePods } from './policy/model/snapshot.ts';
import { wantsDeviceClasses } from './policy/placement/profile.ts';
import { rules } from './policy/rules/index.ts';
import { isQuarantineExempt } from './policy/standing.ts';
import { createAdmissionEndpoint } from './server/admission-endpoint.ts';
import { createAdmissionListener, createApp } from './server/app.ts';
import { startCertificates } from './server/certificates.ts';
import { certificateCheck, claimsChecks, configurationChecks, nodesCheck, policyCheck } from './server/checks.ts';
import { type ConfigurationCheck, startConfigurationCheck } from './server/configuration-check.ts';
import { type Check, createHealthApp } from './server/health.ts';
import { createMetrics, type Metrics } from './server/metrics.ts';
import { createNoteKeeper } from './server/note-keeper.ts';
import { startServer } from './server/start-server.ts';

/** What `serve` touches beside files and sockets, as arguments. */
export interface ServeWorld {
  readonly log: Log;
  /** Calls back for each signal that asks for the end. */
  readonly onStop: (listener: (signal: string) => void) => void;
  readonly writeStdout: WriteChunk;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly random: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Three looks of the reconciler. */
const leaseDurationMs = 15_000;

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

async function runServer(settings: ServeSettings, io: CliIo, world: ServeWorld): Promise<number> {
  const { log, now } = world;
  const startedMs = now();
  let source: NodeSource | undefined;
  let pods = offlinePods;
  let watch: NodeWatch | undefined;
  let claims: ClaimWatch | undefined;
  let configuration: ConfigurationCheck | undefined;
  let reconciler: Reconciler | undefined;
  let reports: NodeReports | undefined;
  let expiresAt: (() => number) | undefined;
  const metrics = createMetrics({
    nodes: () => nodeFigures(source, now()),
    certificateExpiry: () => expiresAt?.(),
    quarantine: () => reconciler?.figures(),
  });
  const policies = await loadPolicies(settings, metrics, world, () => {
    configuration?.again();
    claims?.follow();
  });
  const certificates = await startCertificates({
    certFile: settings.certFile,
    keyFile: settings.keyFile,
    pollMs: settings.reloadIntervalMs,
    log,
    onReload: metrics.certificateReload,
  });
  expiresAt = () => certificates.current().expiresAt;
  if (settings.nodes !== undefined) source = await loadNodesFile(settings.nodes);
  else {
    const access =
      settings.kubeconfig === undefined
        ? await loadInClusterAccess(io.env)
        : await loadKubeconfigAccess(settings.kubeconfig);
    const client = createApiClient(access, { idleTimeoutMs: defaultIdleTimeoutMs });
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
      onChecked: (gaps) => metrics.configurationChecked(gaps.length),
      now,
      sleep: world.sleep,
    });
    reconciler = startQuarantineReconciler({
      client,
      lease: createLease({
        client,
        namespace: settings.namespace,
        name: quarantineLeaseName,
        // With hostNetwork two replicas may share name and pid.
        identity: `${hostname()}_${process.pid}_${Math.floor(world.random() * 0xffffffff).toString(16)}`,
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

  let lostRecords = 0;
  const file = settings.auditLog === '-' ? undefined : openAuditFile(settings.auditLog);
  const sink = createLineSink({
    write: file?.write ?? world.writeStdout,
    onLost: (records, why) => {
      // One line for the first loss and one for each thousand after it: a full disk must not fill the log too.
      if (lostRecords % 1_000 === 0) log('error', 'audit records are being lost', { lost: lostRecords + records, why });
      lostRecords += records;
      metrics.auditLost(records);
    },
  });
  const classesOf = claims?.classesOf ?? fixedClaims([], 'no cluster is watched');
  const admit = createAdmit({
    rules,
    policy: policies.current,
    nodes,
    pods,
    notes: createNoteKeeper(certificates),
    classesOf,
    now,
    monotonic: world.monotonic,
  });
  const handler = createReviewHandler({ admit, rules, audit: sink, observer: metrics, log });
  const endpoint = createAdmissionEndpoint({
    handler,
    onClientError: (kind) => {
      metrics.clientError(kind);
      if (kind === 'too-large') log('error', 'a review was not read: it is too large, and failurePolicy decides');
    },
    onFault: (error) => {
      metrics.failed('internal');
      log('error', 'internal error', { error: error instanceof Error ? error.stack : String(error) });
    },
    now: world.monotonic,
  });

  const checks = (): readonly Check[] => [
    policyCheck(policies),
    certificateCheck(certificates.error(), certificates.current().expiresAt, now()),
    nodesCheck(nodes, watch, now() - startedMs),
    ...claimsChecks(claims, now() - startedMs),
    ...configurationChecks(configuration),
    {
      name: 'audit',
      state: lostRecords === 0 ? 'ok' : 'note',
      detail: lostRecords === 0 ? '' : `${lostRecords} records lost since the start`,
    },
    { name: 'serving', state: server.draining() ? 'failed' : 'ok', detail: server.draining() ? 'shutting down' : '' },
  ];
  const server = await startServer({
    listener: createAdmissionListener(endpoint, createApp()),
    health: createHealthApp({ checks, metrics: metrics.render }),
    certificates,
    host: settings.host,
    port: settings.port,
    healthHost: settings.healthHost,
    healthPort: settings.healthPort,
    log,
    onClientError: metrics.clientError,
    onTlsError: metrics.tlsError,
  });
  const drained = new Promise<number>((resolve, reject) => {
    world.onStop((signal) => {
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
  await sink.close();
  file?.close();
  log(cut === 0 ? 'info' : 'error', 'stopped', { requestsCutOff: cut });
  return exitCodes.ok;
}

/** The policy file, kept; or the defaults, which never change. */
async function loadPolicies(
  settings: ServeSettings,
  metrics: Metrics,
  world: ServeWorld,
  onChange: () => void,
): Promise<PolicyStore> {
  const ownNamespace = settings.namespace;
  const ownUser = serviceAccountUser(`${ownNamespace}/${settings.serviceAccount}`);
  if (settings.config === undefined) {
    const policy = compileDefaults({ rules, ownNamespace, ownUser });
    metrics.policyReload('success', policy.digest, world.now() / 1000);
    return { current: () => policy, status: () => ({ outcome: 'success', error: '' }), close: () => undefined };
  }
  return startPolicyStore({
    file: settings.config,
    parse: createPolicyParser({ rules, ownNamespace, ownUser }),
    pollMs: settings.reloadIntervalMs,
    log: world.log,
    onReload: ({ outcome }, policy) => {
      metrics.policyReload(outcome, policy.digest, world.now() / 1000);
      if (outcome === 'success') onChange();
    },
  });
}

function nodeFigures(
  source: NodeSource | undefined,
  nowMs: number,
): { state: string; count: number; ageSeconds: number | undefined } {
  if (source === undefined) return { state: 'unsynced', count: 0, ageSeconds: undefined };
  const { state, nodes, confirmedAtMs } = source.snapshot();
  return {
    state,
    count: nodes.size,
    ageSeconds: confirmedAtMs === undefined ? undefined : Math.max(0, nowMs - confirmedAtMs) / 1000,
  };
}
