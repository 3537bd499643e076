import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { eventually } from '../cluster/wait.ts';
import { apply } from '../support/json-patch.ts';
import { nodeOf } from './support/nodes.ts';
import { startWatchedCluster, type WatchedCluster } from './support/watched-cluster.ts';

/* The index of live nodes, through everything that happens to a watch of a real API server. Times are reported, never asserted. */

let cluster: WatchedCluster;

beforeAll(async () => {
  cluster = await startWatchedCluster(inject('binaries'));
  await cluster.addNode('operator-a', 'operator');
  await cluster.addNode('compute-a', 'compute');
  await cluster.untilBindIs('operator-a', 'denied');
  await cluster.untilBindIs('compute-a', 'admitted');
}, 120_000);

afterEach(() => cluster?.proxy.set('clear'));
afterAll(() => cluster?.close(), 60_000);

const relists = (): number => cluster.logged('nodes listed');
/** Seconds that the watch waited, or waits, after each failure. */
const waits = (): readonly number[] =>
  cluster.webhook.log().flatMap(({ waitSeconds }) => (waitSeconds === undefined ? [] : [Number(waitSeconds)]));
const indexed = async (): Promise<number> =>
  Number(/^osmo_admission_node_cache_nodes (\d+)$/m.exec(await cluster.webhook.metrics())?.[1]);
const registrations = (name: string): ReturnType<WatchedCluster['webhook']['records']> =>
  cluster.webhook
    .records()
    .filter(
      ({ phase, verb, objectRef }) =>
        phase === 'validate' && verb === 'create' && objectRef.resource === 'nodes' && objectRef.name === name,
    );
const report = (what: string, ms: number): void => console.log(`${what}: the index is right again after ${ms} ms`);

describe('a stream that is cut', () => {
  it('leaves what was known, and says unknown of the rest: nothing is admitted or refused by guess', async () => {
    cluster.proxy.set('cut');
    expect(await cluster.bind('operator-a')).toContain('(operator-node-guard/bound)');
    expect(await cluster.bind('compute-a')).toBe('');
    // Not in the index, and nobody can be asked: failurePolicy decides, which is Fail for a workflow pod.
    await cluster.addNode('late', 'compute');
    expect(await cluster.bind('late')).toContain('failed calling webhook "pods.validate.osmo-admission"');
    // A node that violates may be one that exists: never refused.
    const { code, warnings } = await cluster.plane.api.send(
      'POST',
      '/api/v1/nodes',
      nodeOf('old', 'compute', 'v1.29.6'),
    );
    expect(code).toBe(201);
    expect(warnings.join()).toContain('kubernetes-version: has v1.29.6, needs 1.30.0 or later');
    await eventually('the record', () =>
      cluster.webhook.records().some(({ decision, error }) => decision === 'error' && error?.includes('late') === true),
    );
  });

  it('leaves the look-up: a node that the index lacks and the API server has is never refused, and is judged by what it was', async () => {
    cluster.proxy.set('cut');
    // The next attempt to watch is seconds away: meanwhile the index stays as it is.
    const before = await indexed();
    const { length } = waits();
    await eventually('the watch waits', () =>
      waits()
        .slice(length)
        .some((seconds) => seconds >= 2),
    );
    await cluster.addNode('unseen', 'compute');
    const { body } = await cluster.plane.api.send('GET', '/api/v1/nodes/unseen');
    cluster.proxy.set('clear');
    const moved = apply(nodeOf('unseen', 'compute', 'v1.29.6'), [
      { op: 'replace', path: '/status/addresses/0/address', value: '10.20.0.99' },
    ]);
    const again = await cluster.plane.api.send('POST', '/api/v1/nodes', moved);
    expect(again.body.reason).toBe('AlreadyExists');
    expect(again.warnings.join()).toContain('kubernetes-version: has v1.29.6, needs 1.30.0 or later');
    // Nobody but the API server could say what its address was.
    expect(again.warnings.join()).toContain('10.20.0.99 (was 10.20.0.31)');
    await eventually('the record', () => registrations('unseen').length === 2);
    const { nodes } = registrations('unseen').at(-1) ?? {};
    expect(Number(nodes?.resourceVersion)).toBeLessThan(Number(body.metadata.resourceVersion));
    await eventually('the index has it', async () => (await indexed()) > before);
  });

  it('is resumed where it broke off, without a list, and brings what was missed', async () => {
    const before = relists();
    cluster.proxy.set('cut');
    await cluster.setType('compute-a', 'operator');
    await cluster.addNode('operator-b', 'operator');
    expect(await cluster.bind('compute-a')).toBe('');
    cluster.proxy.set('clear');
    report('a cut stream', await cluster.untilBindIs('compute-a', 'denied'));
    await cluster.untilBindIs('operator-b', 'denied');
    expect(relists()).toBe(before);
    await cluster.setType('compute-a', 'compute');
    await cluster.untilBindIs('compute-a', 'admitted');
  }, 120_000);
});

describe('a stream that comes in small pieces', () => {
  it('is read all the same', async () => {
    cluster.proxy.set('slow');
    await cluster.setType('compute-a', 'operator');
    report('a slow stream', await cluster.untilBindIs('compute-a', 'denied'));
    await cluster.setType('compute-a', 'compute');
    await cluster.untilBindIs('compute-a', 'admitted');
  }, 120_000);
});

describe('an API server', () => {
  it('that is killed and comes back is watched again', async () => {
    const before = cluster.logged('nodes cannot be watched; trying again');
    await cluster.plane.stopComponent('kube-apiserver', 'SIGKILL');
    await eventually('the webhook notices', () => cluster.logged('nodes cannot be watched; trying again') > before);
    await cluster.plane.startComponent('kube-apiserver');
    await cluster.setType('compute-a', 'operator');
    report('an API server that was killed', await cluster.untilBindIs('compute-a', 'denied', 90_000));
    await cluster.setType('compute-a', 'compute');
    await cluster.untilBindIs('compute-a', 'admitted');
  }, 180_000);

  it('that has forgotten where the watch was (410 Gone) is listed anew', async () => {
    const before = relists();
    cluster.proxy.set('cut');
    await cluster.setType('compute-a', 'operator');
    await compactEtcd(cluster.plane.etcd);
    // Its watch cache begins anew, after what the webhook has seen.
    await cluster.plane.stopComponent('kube-apiserver', 'SIGKILL');
    await cluster.plane.startComponent('kube-apiserver');
    await cluster.setType('operator-b', 'compute');
    cluster.proxy.set('clear');
    report('410 Gone', await cluster.untilBindIs('compute-a', 'denied', 90_000));
    await cluster.untilBindIs('operator-b', 'admitted');
    expect(cluster.logged('the watch is too old: listing again')).toBeGreaterThan(0);
    expect(relists()).toBe(before + 1);
  }, 180_000);
});

/** Throws away all history, as an API server does every five minutes. */
async function compactEtcd(etcd: string): Promise<void> {
  const post = async (path: string, body: object): Promise<{ header: { revision: string } }> => {
    const response = await fetch(`${etcd}${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { header: { revision: string } };
  };
  const { header } = await post('/v3/kv/range', { key: Buffer.from('x').toString('base64') });
  await post('/v3/kv/compaction', { revision: header.revision, physical: true });
}
