import { loadavg } from 'node:os';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { ApiAnswer, ApiClient } from '../../cluster/api-client.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { type Installation, install, startCluster, webhookName } from '../../cluster/installation.ts';
import { eventually } from '../../cluster/wait.ts';
import { metricOf } from '../../support/metrics.ts';
import { featureDiscovery } from '../support/feature-discovery.ts';
import { type FleetNode, fleetOf, gpuLabels, type Kubelet, startKubelet } from '../support/fleet.ts';
import { inParallel, type Times, timed, timesOf } from '../support/timing.ts';

/*
 * 500 nodes that register and heartbeat: none is lost, no heartbeat reaches the webhook, index and reconciler keep up. The same is sent
 * before the webhook is installed and after it is gone; what it costs is printed and never asserted.
 */

const old = '535.104.05';
const fit = '550.144.03';
const fleet = fleetOf([
  ['operator', 20],
  ['compute', 200],
  ['gpu', 180, fit],
  ['gpu', 60, old],
  ['jetson', 40],
]);
const gpus = fleet.filter(({ type }) => type === 'gpu');
const tooOld = fleet.filter(({ driver }) => driver === old);
const names = (nodes: readonly FleetNode[]): readonly string[] => nodes.map(({ name }) => name).sort();

/** Of each node. */
const beats = 10;
/** Requests in flight. */
const width = 32;

const mark = 'osmo-admission/quarantined';
const verified = 'osmo-admission/verified';
const ours = /^nodes\.(mutate|validate)\.osmo-admission\/decision$/;

let plane: ControlPlane;
let webhook: Installation;
let discovery: ApiClient;
let kubelets: readonly Kubelet[] = [];

beforeAll(async () => {
  console.log(`load average before the run, of one and five minutes: ${loadavg().slice(0, 2).join(', ')}`);
  plane = await startCluster(inject('binaries'), names(fleet));
  await plane.apply(['apply', '-f', '-'], featureDiscovery);
  const { stdout } = await plane.apply(['create', 'token', 'discovery', '-n', 'gpu-operator', '--duration', '12h']);
  discovery = plane.connect(stdout.trim());
  // So that the first round that counts does not warm up the API server for the next.
  await startFleet(fleet.slice(150, 350));
  await sendAll();
}, 300_000);

afterAll(async () => {
  for (const kubelet of kubelets) kubelet.close();
  discovery?.close();
  await plane?.close();
}, 60_000);

/** One answered request. */
interface Sent {
  readonly code: number;
  readonly message: string;
  readonly auditId: string;
  readonly ms: number;
}

async function send(request: () => Promise<ApiAnswer>): Promise<Sent> {
  const { result, ms } = await timed(request);
  return { code: result.code, message: result.body?.message ?? '', auditId: result.auditId, ms };
}

/** Removes every node, and starts kubelets for these. */
async function startFleet(nodes: readonly FleetNode[]): Promise<void> {
  for (const kubelet of kubelets) kubelet.close();
  for (const path of ['/api/v1/nodes', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases']) {
    await plane.api.send('DELETE', path);
    await eventually('all are gone', async () => (await plane.api.list(path)).length === 0);
  }
  kubelets = await inParallel(nodes, width, (node) => startKubelet(plane, node));
}

const registerAll = (atOnce: number): Promise<readonly Sent[]> =>
  inParallel(kubelets, atOnce, (kubelet) => send(() => kubelet.register()));

const label = (node: FleetNode, driver: string): Promise<Sent> =>
  send(() => {
    const body = { metadata: { labels: gpuLabels(driver) } };
    const options = { contentType: 'application/merge-patch+json' };
    return discovery.send('PATCH', `/api/v1/nodes/${node.name}`, body, options);
  });

const labelAll = (): Promise<readonly Sent[]> =>
  inParallel(
    kubelets.filter(({ node }) => node.driver !== undefined),
    width,
    ({ node }) => label(node, node.driver ?? ''),
  );

interface Beats {
  readonly heartbeats: readonly Sent[];
  readonly renewals: readonly Sent[];
}

async function beatAll(): Promise<Beats> {
  const heartbeats: Sent[] = [];
  const renewals: Sent[] = [];
  for (let i = 0; i < beats; i++) {
    await inParallel(kubelets, width, async (kubelet) => {
      renewals.push(await send(() => kubelet.renewLease()));
      heartbeats.push(await send(() => kubelet.heartbeat()));
    });
  }
  return { heartbeats, renewals };
}

/** What is sent with the webhook and without, to compare. */
interface Round extends Beats {
  readonly registrations: readonly Sent[];
  readonly labels: readonly Sent[];
}

async function sendAll(): Promise<Round> {
  const registrations = await registerAll(width);
  const labels = await labelAll();
  return { registrations, labels, ...(await beatAll()) };
}

/** Answers other than those wanted. */
const failures = (sent: readonly Sent[], wanted: number): readonly string[] =>
  sent.filter(({ code }) => code !== wanted).map(({ code, message }) => `${code} ${message}`);

/** Keys of the annotations that the API server's own audit log has of each of these requests. */
async function audited(sent: readonly Sent[]): Promise<readonly (readonly string[])[]> {
  let found: readonly (readonly string[])[] = [];
  const wanted = new Set(sent.map(({ auditId }) => auditId));
  await eventually('the API server has written its audit events', () => {
    found = plane
      .auditEvents()
      .filter(({ auditID }) => wanted.has(String(auditID)))
      .map(({ annotations }) => Object.keys(Object(annotations)));
    return found.length === wanted.size;
  });
  return found;
}

const failedOpen = (keys: readonly string[]): boolean => keys.some((key) => key.startsWith('failed-open'));

/** Names of the nodes with each value of the mark, and with that of the annotation. */
async function marks(): Promise<Readonly<Record<string, readonly string[]>>> {
  const found: Record<string, string[]> = {};
  const nodes = await plane.api.list('/api/v1/nodes');
  for (const { metadata } of nodes) {
    const { name, labels, annotations } = Object(metadata);
    const has = [
      ...(labels[mark] === undefined ? [] : [`marked ${labels[mark]}`]),
      ...(annotations?.[verified] === undefined ? [] : [`verified ${annotations[verified]}`]),
    ];
    found[has.join(', ')] = [...(found[has.join(', ')] ?? []), name].sort();
  }
  return found;
}

const verifiedBut = (without: readonly FleetNode[]): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(
    (['operator', 'compute', 'gpu', 'jetson'] as const)
      .map((type) => [type, fleet.filter((node) => node.type === type && !without.includes(node))] as const)
      .filter(([, nodes]) => nodes.length > 0)
      .map(([type, nodes]) => [`verified ${type}`, names(nodes)]),
  );

const metric = async (name: string, labels?: Readonly<Record<string, string>>): Promise<number> =>
  metricOf(await webhook.metrics(), name, labels);
const writes = (outcome = 'success'): Promise<number> => metric('osmo_admission_quarantine_writes_total', { outcome });
const reviews = (): Promise<number> => metric('osmo_admission_requests_total');
const indexed = (): Promise<number> => metric('osmo_admission_node_cache_nodes');

/** Milliseconds from now until it is so. */
const until = async (what: string, condition: () => Promise<boolean>): Promise<number> =>
  Math.round((await timed(() => eventually(what, condition, 120_000))).ms);

const rounds: { before?: Round; with?: Round; after?: Round } = {};

describe('500 nodes that were there before the webhook', () => {
  it('are in its index, and verified by its reconciler; those that are too old are reported and not marked', async () => {
    await startFleet(fleet);
    rounds.before = await sendAll();
    webhook = await install(plane, {
      policy: stringify({
        apiVersion: 'osmo-admission/v1alpha1',
        kind: 'AdmissionPolicy',
        rules: { 'node-quarantine': { awaited: ['driver'] } },
      }),
    });
    const wanted = fleet.length - tooOld.length;
    const ms = await until('all are verified', async () => (await writes()) >= wanted);
    console.log(`${wanted} nodes from before were verified ${ms} ms after the installation`);
    await eventually(
      'the others are reported',
      async () => (await metric('osmo_admission_quarantine_reported_nodes')) === tooOld.length,
    );
    expect(await marks()).toEqual({ ...verifiedBut(tooOld), '': names(tooOld) });
    expect(await writes()).toBe(wanted);
    expect(await writes('failure')).toBe(0);
  }, 300_000);
});

describe('500 nodes that register', () => {
  let registrations: readonly Sent[] = [];
  let labels: readonly Sent[] = [];
  let writesBefore = 0;
  let registeredMs = 0;

  it('are all there, and each was judged by both webhooks', async () => {
    await startFleet(fleet);
    await eventually('the index is empty', async () => (await indexed()) === 0);
    writesBefore = await writes();
    registrations = await registerAll(width);
    registeredMs = performance.now();
    const ms = await until('the index knows all', async () => (await indexed()) === fleet.length);
    console.log(`the index knew all ${ms} ms after the last registration`);
    expect(failures(registrations, 201)).toEqual([]);
    expect((await plane.api.list('/api/v1/nodes')).length).toBe(500);
    const events = await audited(registrations);
    expect(events.filter(failedOpen)).toEqual([]);
    expect(events.filter((keys) => keys.filter((key) => ours.test(key)).length !== 2)).toEqual([]);
    expect(await marks()).toEqual({ ...verifiedBut(gpus), 'marked awaited': names(gpus) });
  }, 120_000);

  it('are freed by their feature discovery’s labels, and marked by the reconciler where they are too old', async () => {
    const beganMs = performance.now();
    labels = await labelAll();
    const ms = await until('the last mark', async () => (await writes()) >= writesBefore + tooOld.length);
    const sinceRegistration = Math.round(performance.now() - registeredMs);
    console.log(
      `the last mark was set ${ms} ms after the last label, ${sinceRegistration} ms after the last registration; the first label came ${Math.round(beganMs - registeredMs)} ms after that`,
    );
    expect(failures(labels, 200)).toEqual([]);
    expect((await audited(labels)).filter(failedOpen)).toEqual([]);
    expect(await marks()).toEqual({ ...verifiedBut(tooOld), 'marked violated': names(tooOld) });
  }, 120_000);

  it('send heartbeats and renew Leases, none of which reaches the webhook', async () => {
    const before = await reviews();
    const sent = await beatAll();
    expect(failures(sent.heartbeats, 200)).toEqual([]);
    expect(sent.renewals.length).toBe(fleet.length * beats);
    expect(failures(sent.renewals.slice(0, fleet.length), 201)).toEqual([]);
    expect(failures(sent.renewals.slice(fleet.length), 200)).toEqual([]);
    expect(await reviews()).toBe(before);
    const events = await audited(sent.heartbeats);
    expect(events.length).toBe(fleet.length * beats);
    expect(events.flat().filter((key) => key.includes('osmo-admission') || key.startsWith('failed-open'))).toEqual([]);
    rounds.with = { registrations, labels, ...sent };
  }, 300_000);

  it('are known by the counter that stood still: a label through nodes/status is one review of each phase', async () => {
    const before = await reviews();
    const ofStatus = (): number =>
      webhook.records().filter(({ objectRef }) => objectRef.subresource === 'status').length;
    expect(ofStatus()).toBe(0);
    expect((await kubelets[0]?.heartbeat({ seen: 'yes' }))?.code).toBe(200);
    expect(await reviews()).toBe(before + 2);
    await eventually('both are recorded', () => ofStatus() === 2);
  });

  it('cost the reconciler as many writes as there were marks to set, and then none', async () => {
    expect(await metric('osmo_admission_node_cache_synced')).toBe(1);
    expect(await indexed()).toBe(fleet.length);
    expect(await metric('osmo_admission_quarantined_nodes')).toBe(tooOld.length);
    // Two of its looks.
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    expect((await writes()) - writesBefore).toBe(tooOld.length);
    expect(await writes('failure')).toBe(0);
  }, 60_000);

  it('are freed once their driver is new, in the very request, without a write of the reconciler', async () => {
    const before = await writes();
    const sent = await inParallel(tooOld, width, (node) => label(node, fit));
    expect(failures(sent, 200)).toEqual([]);
    expect((await audited(sent)).filter(failedOpen)).toEqual([]);
    expect(await marks()).toEqual(verifiedBut([]));
    await eventually('the index knows', async () => (await metric('osmo_admission_quarantined_nodes')) === 0);
    expect(await writes()).toBe(before);
  }, 60_000);
});

describe('500 nodes that register at once', () => {
  it('are all there, judged by both webhooks', async () => {
    await startFleet(fleet);
    const { result: sent, ms } = await timed(() => registerAll(fleet.length));
    const { p50, max } = timesOf(sent.map((one) => one.ms));
    console.log(`500 registrations at once took ${Math.round(ms)} ms: median ${p50} ms, at most ${max} ms`);
    expect(failures(sent, 201)).toEqual([]);
    const events = await audited(sent);
    expect(events.filter(failedOpen)).toEqual([]);
    expect(events.filter((keys) => keys.filter((key) => ours.test(key)).length !== 2)).toEqual([]);
    expect(await marks()).toEqual({ ...verifiedBut(gpus), 'marked awaited': names(gpus) });
  }, 120_000);
});

describe('500 nodes while the server is away', () => {
  it('register, which the API server’s audit log shows of each', async () => {
    await startFleet(fleet);
    await webhook.stopServer();
    const sent = await registerAll(fleet.length);
    expect(failures(sent, 201)).toEqual([]);
    expect((await audited(sent)).filter(failedOpen).length).toBe(fleet.length);
  }, 120_000);

  it('send heartbeats, of which it shows nothing', async () => {
    const { heartbeats, renewals } = await beatAll();
    expect(failures(heartbeats, 200)).toEqual([]);
    expect((await audited(heartbeats)).filter(failedOpen)).toEqual([]);
    for (const [what, sent] of Object.entries({ heartbeats, renewals }))
      console.log(`${what} with the webhook configurations alone: ${show(timesOf(sent.map(({ ms }) => ms)))}`);
  }, 300_000);
});

describe('without the webhook', () => {
  it('the same is sent once more, and what both cost is printed', async () => {
    for (const kind of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'])
      await plane.apply(['delete', kind, webhookName]);
    await startFleet(fleet);
    rounds.after = await sendAll();
    for (const part of ['registrations', 'labels', 'heartbeats', 'renewals'] as const) {
      const before = msOf(rounds.before, part);
      const during = msOf(rounds.with, part);
      const after = msOf(rounds.after, part);
      expect([before.length, after.length]).toEqual([during.length, during.length]);
      const [first, second, third] = [before, during, after].map((ms) => show(timesOf(ms)));
      const ratios = ratio(timesOf(during), timesOf([...before, ...after]));
      console.log(
        `${during.length} ${part}, p50 / p95 / max in ms: before ${first}, with ${second}, after ${third}; ratio ${ratios}`,
      );
    }
  }, 300_000);
});

const msOf = (round: Round | undefined, part: keyof Round): readonly number[] =>
  (round?.[part] ?? []).map(({ ms }) => ms);
const show = ({ p50, p95, max }: Times): string => `${p50} / ${p95} / ${max}`;
const ratio = (times: Times, without: Times): string =>
  (['p50', 'p95', 'max'] as const).map((key) => (times[key] / without[key]).toFixed(2)).join(' / ');
