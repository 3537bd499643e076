import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { eventually } from '../../cluster/wait.ts';
import { metricOf } from '../../support/metrics.ts';
import { startWatchedCluster, type WatchedCluster } from '../support/watched-cluster.ts';

/* What shows only after minutes: bookmarks, a connection that has died without a word, an index that has gone stale. */

let cluster: WatchedCluster;

beforeAll(async () => {
  cluster = await startWatchedCluster(inject('binaries'));
  await cluster.addNode('node-a', 'operator');
  await cluster.untilBindIs('node-a', 'denied');
}, 120_000);

afterAll(() => cluster?.close(), 60_000);

const metric = async (name: string): Promise<number> => metricOf(await cluster.webhook.metrics(), name);
const age = (): Promise<number> => metric('osmo_admission_node_cache_age_seconds');

/** State of the nodes that the last record was made with. */
async function recordedState(): Promise<string> {
  await cluster.bind('node-a');
  await new Promise((resolve) => setTimeout(resolve, 200));
  return cluster.webhook.records().at(-1)?.nodes.state ?? '';
}

describe('a quiet cluster', () => {
  it('confirms the index by bookmarks: its age falls though no node changes', async () => {
    // The controller manager marks a node whose kubelet says nothing, within a minute.
    await eventually('the node has been quiet for 30 s', async () => (await age()) > 30, 180_000);
    await eventually('a bookmark comes', async () => (await age()) < 5, 90_000);
    expect(await recordedState()).toBe('synced');
  }, 300_000);
});

describe('a connection that dies without a word', () => {
  it('goes stale, which the records say, and is right again after it is noticed', async () => {
    cluster.proxy.set('silent');
    await cluster.setType('node-a', 'compute');
    expect(await recordedState()).toBe('synced');
    await eventually('the index is stale', async () => (await recordedState()) === 'stale', 200_000);
    // Stale, it still says what it knew: refused as before.
    expect(await cluster.bind('node-a')).toContain('(operator-node-guard/bound)');
    expect(await metric('osmo_admission_node_cache_synced')).toBe(0);
    cluster.proxy.set('clear');
    const ms = await cluster.untilBindIs('node-a', 'admitted', 120_000);
    console.log(`a silent connection: the index is right again ${ms} ms after the network`);
    expect(await recordedState()).toBe('synced');
  }, 400_000);

  it('is noticed by itself: the watch is begun anew while the network is there', async () => {
    const before = cluster.logged('nodes cannot be watched; trying again');
    cluster.proxy.set('silent');
    await eventually(
      'the silence is noticed',
      () => cluster.logged('nodes cannot be watched; trying again') > before,
      120_000,
    );
    cluster.proxy.set('clear');
    await cluster.setType('node-a', 'operator');
    await cluster.untilBindIs('node-a', 'denied', 120_000);
  }, 300_000);
});
