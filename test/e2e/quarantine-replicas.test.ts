import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Installation, install, namespace, startCluster } from '../cluster/installation.ts';
import type { Replica } from '../cluster/replica.ts';
import { eventually } from '../cluster/wait.ts';
import { driver, mark, marksOf, quarantinePolicy, registerGpuNode, setNodeLabels } from './support/gpu-nodes.ts';

/* Two server processes of one installation and the Lease between them; and what is awaited, by the clock of a real control plane. */

const leasePath = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/osmo-admission-webhook-quarantine`;
const tooOld = '535.104.05';
const newEnough = '550.144.03';

let plane: ControlPlane;
let webhook: Installation;
let replicas: readonly Replica[];

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: quarantinePolicy() });
  const second = webhook.addReplica('webhook-2');
  await second.startServer();
  replicas = [webhook, second];
  await eventually('a replica leads', async () => (await leaders()).length === 1);
  // The Lease's time has a resolution of a second.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** False also of one that does not run. */
async function isLeading(replica: Replica): Promise<boolean> {
  const text = await replica.metrics().catch(() => '');
  return /^osmo_admission_quarantine_leading 1$/m.test(text);
}

async function leaders(): Promise<readonly Replica[]> {
  const answers = await Promise.all(replicas.map(isLeading));
  return replicas.filter((_, index) => answers[index]);
}

/** The one that leads, and the other. */
async function roles(): Promise<{ readonly leader: Replica; readonly other: Replica }> {
  const [leader, ...more] = await leaders();
  const other = replicas.find((replica) => replica !== leader);
  if (leader === undefined || other === undefined || more.length > 0) throw new Error('not one leads');
  return { leader, other };
}

/** Lease.spec. */
async function leaseSpec(): Promise<Readonly<Record<string, unknown>>> {
  return (await plane.api.send('GET', leasePath)).body.spec;
}

/** Nodes whose marks were set right, one entry a write, by the log of both replicas. */
const written = (): readonly unknown[] =>
  replicas.flatMap((replica) =>
    replica.log().flatMap(({ message, node }) => (message === 'marks of a node set right' ? [node] : [])),
  );

/** What both count of their writes since they started. */
async function counted(): Promise<number> {
  const texts = await Promise.all(replicas.map((replica) => replica.metrics()));
  return texts
    .map((text) => Number(/quarantine_writes_total\{outcome="success"\} (\d+)/.exec(text)?.[1] ?? 0))
    .reduce((sum, count) => sum + count, 0);
}

/** Nodes that turn out to violate only after they have joined: admission leaves the mark to whoever leads. */
async function addLate(names: readonly string[]): Promise<void> {
  for (const name of names) {
    expect((await registerGpuNode(plane, name)).code).toBe(201);
    expect((await setNodeLabels(plane, name, { [driver]: tooOld })).code).toBe(200);
  }
  for (const name of names) {
    await eventually(`${name} is marked`, async () => (await marksOf(plane, name)).mark === 'violated', 60_000);
  }
}

/** Whether two led at once at any time, until it is asked. The one that takes over is looked at first. */
function watchBoth(successor: Replica, former: Replica): () => Promise<boolean> {
  let ending = false;
  const watching = (async () => {
    while (!ending) {
      if ((await isLeading(successor)) && (await isLeading(former))) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  })();
  return () => {
    ending = true;
    return watching;
  };
}

/** Two looks and more. */
const someLooks = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 12_000));

describe('two replicas', () => {
  it('one of them leads, and sets the mark of each node once', async () => {
    const before = await counted();
    const { leader, other } = await roles();
    const both = watchBoth(other, leader);
    const names = ['late-1', 'late-2', 'late-3', 'late-4'];
    await addLate(names);
    await someLooks();
    expect([...written()].sort()).toEqual(names);
    expect(await counted()).toBe(before + names.length);
    expect(await both()).toBe(false);
    expect((await roles()).leader).toBe(leader);
  });

  it('the one that is stopped lets go of the Lease, and the other leads without waiting for it to run out', async () => {
    const { leader, other } = await roles();
    const former = await leaseSpec();
    const both = watchBoth(other, leader);
    await leader.stopServer();
    // Nobody's, or the other's already.
    expect((await leaseSpec()).holderIdentity).not.toBe(former.holderIdentity);
    await eventually('the other leads', () => isLeading(other));
    expect((await leaseSpec()).leaseTransitions).toBe(Number(former.leaseTransitions) + 1);
    await leader.startServer();
    await addLate(['late-5']);
    await someLooks();
    expect(await both()).toBe(false);
    expect((await roles()).leader).toBe(other);
    expect([...written()].sort()).toEqual(['late-1', 'late-2', 'late-3', 'late-4', 'late-5']);
  });

  it('the one that is killed keeps the Lease until it has run out; then the other leads', async () => {
    const { leader, other } = await roles();
    const both = watchBoth(other, leader);
    await leader.killServer();
    const former = await leaseSpec();
    await addLate(['late-6']);
    expect(await isLeading(other)).toBe(true);
    const { holderIdentity, acquireTime, leaseTransitions } = await leaseSpec();
    expect(holderIdentity).not.toBe(former.holderIdentity);
    expect(leaseTransitions).toBe(Number(former.leaseTransitions) + 1);
    // No sooner than that: the other cannot know that it is dead.
    const silentMs = Date.parse(String(acquireTime)) - Date.parse(String(former.renewTime));
    expect(silentMs).toBeGreaterThanOrEqual(Number(former.leaseDurationSeconds) * 1000);
    await leader.startServer();
    await someLooks();
    expect(await both()).toBe(false);
    expect((await roles()).leader).toBe(other);
    expect([...written()].sort()).toEqual(['late-1', 'late-2', 'late-3', 'late-4', 'late-5', 'late-6']);
  }, 120_000);
});

describe('what is awaited', () => {
  beforeAll(async () => {
    webhook.writePolicy(quarantinePolicy({ awaited: ['driver'], awaitFor: '20s' }));
    await eventually('both have the policy', () =>
      replicas.every((replica) => replica.log().some(({ message }) => message === 'policy reloaded')),
    );
  });

  it('holds a new node back until it is known, which frees it in the same request', async () => {
    const registered = await registerGpuNode(plane, 'slow');
    expect(registered.body.metadata.labels[mark]).toBe('awaited');
    const { body } = await setNodeLabels(plane, 'slow', { [driver]: newEnough });
    expect(body.metadata.labels[mark]).toBeUndefined();
    expect(await marksOf(plane, 'slow')).toEqual({ mark: undefined, verified: 'gpu' });
  });

  it('becomes violated where it violates, and frees a node that never shows it once awaitFor has passed', async () => {
    const { body } = await registerGpuNode(plane, 'never');
    await registerGpuNode(plane, 'old');
    await setNodeLabels(plane, 'old', { [driver]: tooOld });
    expect((await marksOf(plane, 'never')).mark).toBe('awaited');
    await eventually('it is free', async () => (await marksOf(plane, 'never')).mark === undefined);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(body.metadata.creationTimestamp) + 20_000);
    expect(await marksOf(plane, 'never')).toEqual({ mark: undefined, verified: undefined });
    expect((await marksOf(plane, 'old')).mark).toBe('violated');
    expect(written().filter((node) => node === 'never')).toEqual(['never']);
    expect(written().filter((node) => node === 'old')).toEqual(['old']);
  });
});
