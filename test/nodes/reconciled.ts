import { stringify } from 'yaml';
import { createApiClient } from '../../src/cluster/api-client.ts';
import { createLease, type Lease } from '../../src/cluster/lease.ts';
import { type Reconciler, startQuarantineReconciler } from '../../src/cluster/quarantine-reconciler.ts';
import { createWatchIndex } from '../../src/cluster/watch-index.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import { markLabel, verifiedAnnotation } from '../../src/policy/model/node.ts';
import type { CompiledPolicy } from '../../src/policy/model/policy.ts';
import { readNode, sameNode } from '../../src/policy/model/read-node.ts';
import type { SnapshotState } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { isQuarantineExempt } from '../../src/policy/standing.ts';
import { fixtureNode } from '../support/fixtures.ts';
import { createPace } from '../support/pace.ts';
import { FakeApiServer, type FakeNode, type FakeWrite } from './fake-api-server.ts';

/* The quarantine's reconciler against an API server of nodes and Leases, with a time that passes only where a test says so. */

/** When quarantine was switched on: the creation of the Lease. */
export const onSince = '2026-11-25T10:00:00Z';
const startMs = Date.parse('2026-11-25T11:05:00Z');
export const leasePath = '/apis/coordination.k8s.io/v1/namespaces/osmo-admission/leases/quarantine';

const parse = createPolicyParser({ rules });
export const policyOf = (quarantine: object = {}, conformance: object = {}, more: object = {}): CompiledPolicy =>
  parse(
    stringify({
      ...{ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy' },
      rules: { 'node-quarantine': quarantine, 'node-conformance': conformance },
      ...more,
    }),
    'policy.yaml',
  );

export const tooOld = '535.104.05';
export const newEnough = '550.144.03';
const driver = 'nvidia.com/cuda.driver-version.full';

export interface NodeOptions {
  /** Its driver; left out, nothing tells it. */
  readonly driver?: string;
  readonly type?: string;
  readonly mark?: string;
  readonly verified?: string;
  /** Later than `onSince` where it is left out. */
  readonly created?: string;
}

/** A node of the fixture cluster, but for what is given. */
export function nodeOf(name: string, options: NodeOptions = {}): FakeNode {
  const { metadata, ...rest } = fixtureNode('gpu-1');
  const given = Object.entries<string>(Object(Object(metadata).labels));
  const labels = given.filter(([key]) => !key.startsWith('nvidia.com/cuda.driver') && key !== 'node-type');
  return {
    ...rest,
    metadata: {
      name,
      creationTimestamp: options.created ?? '2026-11-25T11:00:00Z',
      labels: {
        ...Object.fromEntries(labels),
        'node-type': options.type ?? 'gpu',
        ...(options.driver !== undefined && { [driver]: options.driver }),
        ...(options.mark !== undefined && { [markLabel]: options.mark }),
      },
      annotations: { ...(options.verified !== undefined && { [verifiedAnnotation]: options.verified }) },
    },
  };
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface Reconciled {
  readonly server: FakeApiServer;
  readonly reconciler: Reconciler;
  /** Another replica's, whose clock shows the same. */
  readonly other: Lease;
  readonly lines: readonly LogLine[];
  /** Outcomes of writes, as the metric counts them. */
  readonly outcomes: readonly string[];
  /** How long it last wanted to sleep. */
  sleptMs(): number;
  now(): number;
  pass(ms: number): void;
  /** Lets time pass, then one look; resolves when that is over. */
  look(ms?: number): Promise<void>;
  /** What a test may change between looks. */
  readonly world: World;
  /** Somebody else writes these labels of a node; null takes one away. */
  write(name: string, labels: Readonly<Record<string, string | null>>): void;
  setDriver(name: string, version: string | null): void;
  /** Mark and annotation of a node, as `mark verified`, with a dash for none. */
  marks(name: string): string;
  /** Writes to nodes so far. */
  nodeWrites(): readonly FakeWrite[];
  logged(message: string): readonly LogLine[];
  close(): Promise<void>;
}

export interface World {
  policy: CompiledPolicy;
  state: SnapshotState;
  installed: boolean;
  /** The index shows what it showed before. */
  lagging: boolean;
}

/** Starts it over these nodes; resolves when its first look is over. */
export async function startReconciled(nodes: readonly FakeNode[], given: Partial<World> = {}): Promise<Reconciled> {
  const server = new FakeApiServer();
  server.creationTimestamp = onSince;
  server.nodes = nodes.map((node) => server.versioned(node));
  const url = await server.start();
  const client = createApiClient(
    { server: url, ca: undefined, clientCert: undefined, clientKey: undefined, token: async () => undefined },
    { idleTimeoutMs: 1_000 },
  );
  const world: World = { policy: policyOf(), state: 'synced', installed: true, lagging: false, ...given };
  const index = createWatchIndex({ same: sameNode });
  const lines: LogLine[] = [];
  const outcomes: string[] = [];
  const pace = createPace({ nowMs: startMs });
  const leaseOf = (identity: string): Lease =>
    createLease({
      ...{ client, namespace: 'osmo-admission', name: 'quarantine', identity, durationMs: 15_000, now: pace.now },
    });
  const reconciler = startQuarantineReconciler({
    client,
    lease: leaseOf('ours'),
    nodes: {
      snapshot() {
        if (!world.lagging)
          index.replace(new Map(server.nodes.map((node) => [node.metadata.name, readNode(node, 'Node')])));
        return { state: world.state, nodes: index.all(), resourceVersion: '', confirmedAtMs: pace.now() };
      },
      lookUp: () => Promise.reject(new Error('not asked')),
    },
    policy: () => world.policy,
    isInstalled: async () => world.installed,
    isExempt: (node, policy) => isQuarantineExempt(node, policy, pace.now()),
    log: (level, message, fields) => void lines.push({ level, message, ...fields }),
    onWrite: (outcome) => void outcomes.push(outcome),
    now: pace.now,
    sleep: pace.sleep,
  });
  await pace.asleep();
  const find = (name: string): FakeNode | undefined => server.nodes.find(({ metadata }) => metadata.name === name);
  const write: Reconciled['write'] = (name, labels) => server.patchNode(name, { metadata: { labels } });
  return {
    server,
    reconciler,
    other: leaseOf('other'),
    lines,
    outcomes,
    world,
    sleptMs: pace.sleptMs,
    now: pace.now,
    pass: pace.pass,
    async look(ms = 5_000) {
      pace.pass(ms);
      await pace.wake();
    },
    write,
    setDriver: (name, version) => write(name, { [driver]: version }),
    marks(name) {
      const { labels, annotations } = find(name)?.metadata ?? {};
      return `${labels?.[markLabel] ?? '-'} ${annotations?.[verifiedAnnotation] ?? '-'}`;
    },
    nodeWrites: () => server.writes.filter(({ path }) => path.startsWith('/api/v1/nodes/')),
    logged: (message) => lines.filter((line) => line.message.startsWith(message)),
    async close() {
      await reconciler.stop();
      await client.close();
      await server.stop();
    },
  };
}
