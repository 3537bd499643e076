import { afterEach, describe, expect, it } from 'vitest';
import { markLabel } from '../../src/policy/model/node.ts';
import { status } from './fake-api-server.ts';
import {
  leasePath,
  type NodeOptions,
  newEnough,
  nodeOf,
  policyOf,
  type Reconciled,
  startReconciled,
  tooOld,
  type World,
} from './reconciled.ts';

let run: Reconciled;
afterEach(() => run?.close());

const minuteMs = 60_000;
/** Created before quarantine was switched on. */
const older = '2026-11-25T09:59:59Z';
const notMarked = 'a node violates the guide and is not marked';
const failed = 'the marks of nodes could not be set right';
const setRight = 'marks of a node set right';
const quarrel = 'somebody sets the marks of a node back again and again';

/** Starts over nodes by name; the first look is over then. */
async function start(nodes: Readonly<Record<string, NodeOptions>>, world: Partial<World> = {}): Promise<void> {
  run = await startReconciled(
    Object.entries(nodes).map(([name, options]) => nodeOf(name, options)),
    world,
  );
}

/** Answers what is asked for with an error, until told otherwise. */
function refuse(code: number, method?: string, path = ''): void {
  run.server.misbehave = (request, response) => {
    if ((method !== undefined && request.method !== method) || !request.url?.includes(path)) return false;
    status(response, code, 'no');
    return true;
  };
}
const obey = (): void => {
  run.server.misbehave = () => false;
};
const holder = (): unknown => Reflect.get(Object(run.server.leases.get(leasePath)?.spec), 'holderIdentity');
const signal = (): AbortSignal => AbortSignal.timeout(5_000);

describe('what is not known', () => {
  it.each([
    ['unsynced', 200],
    ['stale', 5_000],
  ] as const)('leaves everything alone: nodes are %s', async (state, sleptMs) => {
    await start({ bad: { driver: tooOld } }, { state });
    await run.look();
    expect(run.server.requests).toEqual([]);
    expect(run.sleptMs()).toBe(sleptMs);
    run.world.state = 'synced';
    await run.look();
    expect(run.marks('bad')).toBe('violated -');
    expect(run.sleptMs()).toBe(5_000);
  });
});

describe('a look', () => {
  it('marks what violates and is no older than the Lease, which it makes, and verifies what meets', async () => {
    await start({
      bad: { driver: tooOld },
      older: { driver: tooOld, created: older },
      'same-second': { driver: tooOld, created: '2026-11-25T10:00:00Z' },
      good: { driver: newEnough, created: older },
      late: {},
    });
    expect(holder()).toBe('ours');
    const all = (): object =>
      Object.fromEntries(run.server.nodes.map(({ metadata: { name } }) => [name, run.marks(name)]));
    expect(all()).toEqual({
      bad: 'violated -',
      older: '- -',
      'same-second': 'violated -',
      good: '- gpu',
      late: '- -',
    });
    run.setDriver('late', tooOld);
    run.setDriver('bad', newEnough);
    await run.look();
    expect(all()).toMatchObject({ late: 'violated -', bad: '- gpu' });
    expect(run.logged(setRight)).toContainEqual({
      ...{ level: 'info', message: setRight, node: 'late', mark: 'violated', verified: 'no', was: 'none' },
      reasons: expect.stringContaining('driver: has 535.104.05, needs 535.216.03 or later (guide, '),
    });
    expect(run.reconciler.figures()).toEqual({ leading: true, marked: 2, reported: 1 });
  });

  it('lifts no mark because its fact is not shown any more', async () => {
    await start({ bad: { driver: tooOld } });
    run.setDriver('bad', null);
    await run.look(60 * minuteMs);
    expect(run.marks('bad')).toBe('violated -');
  });

  it('writes nothing while nothing changes: it renews the Lease, and asks for no node', async () => {
    await start({ bad: { driver: tooOld }, good: { driver: newEnough }, older: { driver: tooOld, created: older } });
    await run.look();
    const writes = run.nodeWrites().length;
    const requests = run.server.requests.length;
    for (let look = 0; look < 10; look++) await run.look();
    expect(run.nodeWrites()).toHaveLength(writes);
    expect(run.server.requests.slice(requests)).toEqual(Array.from({ length: 20 }, () => leasePath));
  });

  it('goes by the live node, not by an index that lags, and writes against its very version', async () => {
    await start({ one: {}, two: {} });
    run.setDriver('one', tooOld);
    run.setDriver('two', tooOld);
    // The index learns of that much, and of nothing later.
    refuse(503, 'PATCH');
    await run.look();
    obey();
    run.world.lagging = true;
    run.setDriver('one', newEnough);
    run.write('two', { heard: 'yes' });
    const version = run.server.nodes.find(({ metadata }) => metadata.name === 'two')?.metadata.resourceVersion;
    const writes = run.nodeWrites().length;
    await run.look();
    expect(run.marks('one')).toBe('- gpu');
    expect(run.marks('two')).toBe('violated -');
    expect(run.nodeWrites().slice(writes)[1]?.body).toEqual({
      metadata: { resourceVersion: version, labels: { [markLabel]: 'violated' } },
    });
    // It still shows both without.
    await run.look();
    expect(run.nodeWrites()).toHaveLength(writes + 2);
    expect(run.logged(notMarked)).toEqual([]);
  });

  it('leaves a node that changed, or went, in between to the next look, and calls it no failure', async () => {
    await start({ one: {}, gone: {} });
    run.setDriver('one', tooOld);
    run.setDriver('gone', tooOld);
    run.server.misbehave = (request) => {
      if (request.method === 'PATCH' && request.url?.endsWith('/one')) run.write('one', { heard: String(run.now()) });
      if (request.url?.endsWith('/gone')) run.server.nodes = run.server.nodes.slice(0, 1);
      return false;
    };
    await run.look();
    expect(run.marks('one')).toBe('- -');
    obey();
    await run.look();
    expect(run.marks('one')).toBe('violated -');
    expect(run.outcomes).toEqual(['success']);
    expect(run.logged(failed)).toEqual([]);
  });

  it('with more to write than five seconds’ worth goes on at the next, the Lease renewed', async () => {
    await start({ a: {}, b: {}, c: {}, d: {} });
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) run.setDriver(name, tooOld);
    run.server.misbehave = (request) => {
      if (request.method === 'PATCH') run.pass(3_000);
      return false;
    };
    await run.look();
    expect(names.map(run.marks)).toEqual(['violated -', 'violated -', '- -', '- -']);
    await run.look();
    expect(names.map(run.marks)).toEqual(['violated -', 'violated -', 'violated -', 'violated -']);
    expect(run.logged(failed)).toEqual([]);
    expect(run.reconciler.figures().leading).toBe(true);
  });
});

describe('what is awaited', () => {
  const awaiting = { policy: policyOf({ awaited: ['driver'], awaitFor: '15m' }) };

  it('ends at the node’s creation and awaitFor, though nothing else changes', async () => {
    await start({ slow: { created: '2026-11-25T11:04:00Z' } }, awaiting);
    expect(run.marks('slow')).toBe('awaited -');
    await run.look(14 * minuteMs - 1);
    expect(run.marks('slow')).toBe('awaited -');
    await run.look(1);
    expect(run.marks('slow')).toBe('- -');
    const writes = run.nodeWrites().length;
    await run.look();
    expect(run.nodeWrites()).toHaveLength(writes);
  });

  it('ends as soon as it is known: met or violated', async () => {
    await start({ one: {}, two: {} }, awaiting);
    run.setDriver('one', newEnough);
    run.setDriver('two', tooOld);
    await run.look();
    expect(run.marks('one')).toBe('- gpu');
    expect(run.marks('two')).toBe('violated -');
  });

  it('follows the policy’s awaitFor', async () => {
    await start({ slow: {} }, awaiting);
    run.world.policy = policyOf({ awaited: ['driver'], awaitFor: '5m' });
    await run.look();
    expect(run.marks('slow')).toBe('- -');
    run.world.policy = policyOf({ awaited: ['driver'], awaitFor: '1h' });
    await run.look();
    expect(run.marks('slow')).toBe('awaited -');
  });
});

describe('a node that is verified, or older than quarantine', () => {
  it('is reported once for each change, and never marked', async () => {
    await start({ good: { driver: newEnough }, older: { driver: tooOld, created: older } });
    await run.look();
    const reports = (): readonly unknown[] => run.logged(notMarked).map(({ node }) => node);
    expect(reports()).toEqual(['older']);
    run.setDriver('good', tooOld);
    await run.look();
    await run.look();
    expect(reports()).toEqual(['older', 'good']);
    expect(run.marks('good')).toBe('- gpu');
    expect(run.reconciler.figures()).toMatchObject({ marked: 0, reported: 2 });
    run.setDriver('good', '535.54.03');
    await run.look();
    expect(run.logged(notMarked).at(-1)).toMatchObject({
      ...{ level: 'warn', node: 'good' },
      reasons: expect.stringContaining('driver: has 535.54.03, needs 535.216.03 or later (guide, '),
    });
    run.setDriver('good', newEnough);
    await run.look();
    run.setDriver('good', '535.54.03');
    await run.look();
    expect(reports()).toEqual(['older', 'good', 'good', 'good']);
  });

  it('is reported when the policy’s minimum rises', async () => {
    await start({ good: { driver: newEnough } });
    run.world.policy = policyOf({}, { driver: { minimum: '560.0.0' } });
    await run.look();
    expect(run.marks('good')).toBe('- gpu');
    expect(run.logged(notMarked)).toMatchObject([{ node: 'good' }]);
  });
});

describe('an exempt node', () => {
  const exempting = (until?: string) =>
    policyOf({}, {}, { exemptions: [{ reason: 'a test bench', nodes: ['bench'], ...(until && { until }) }] });

  it('bears nothing and is not reported', async () => {
    await start({ bench: { driver: tooOld, mark: 'violated' }, bad: { driver: tooOld } }, { policy: exempting() });
    expect(run.marks('bench')).toBe('- -');
    expect(run.marks('bad')).toBe('violated -');
    expect(run.logged(notMarked)).toEqual([]);
  });

  it('is marked once its exemption has ended, though nothing else changes', async () => {
    await start({ bench: { driver: tooOld } }, { policy: exempting('2026-11-25') });
    await run.look(12 * 60 * minuteMs);
    expect(run.marks('bench')).toBe('- -');
    await run.look(60 * minuteMs);
    expect(run.marks('bench')).toBe('violated -');
  });
});

describe('another writer of the marks', () => {
  it('is left alone after five writes to a node, for ten minutes, as often as it takes', async () => {
    await start({ bad: { driver: tooOld }, quiet: {} });
    const quarrelOn = async (): Promise<void> => {
      for (let look = 0; look < 8; look++) {
        run.write('bad', { [markLabel]: null });
        await run.look();
      }
    };
    await quarrelOn();
    expect(run.outcomes).toHaveLength(5);
    expect(run.marks('bad')).toBe('- -');
    expect(run.logged(quarrel)).toMatchObject([{ level: 'error', node: 'bad' }]);
    // Another node is none of it.
    run.setDriver('quiet', tooOld);
    await run.look();
    expect(run.marks('quiet')).toBe('violated -');
    await run.look(10 * minuteMs);
    expect(run.marks('bad')).toBe('violated -');
    expect(run.logged(quarrel)).toHaveLength(1);
    await quarrelOn();
    expect(run.outcomes).toHaveLength(11);
    expect(run.logged(quarrel)).toHaveLength(2);
  });
});

describe('switched off', () => {
  const nodes = {
    bad: { driver: tooOld },
    good: { driver: newEnough },
    foreign: { driver: tooOld, mark: 'something', verified: 'compute', created: older },
  };

  it.each([
    ['by its enforcement', { policy: policyOf({ enforcement: 'warn' }) }],
    ['by the preset', { policy: policyOf({}, {}, { preset: 'monitor' }) }],
    ['since it is not installed', { installed: false }],
  ])('%s: takes every mark and annotation away, then the Lease, and makes none anew', async (_, world) => {
    await start(nodes);
    const writes = run.server.writes.length;
    Object.assign(run.world, world);
    await run.look();
    expect(Object.keys(nodes).map(run.marks)).toEqual(['- -', '- -', '- -']);
    expect(holder()).toBe('ours');
    await run.look();
    expect(run.server.leases.size).toBe(0);
    expect(run.server.writes.slice(writes).map(({ method }) => method)).toEqual([
      ...['PUT', 'PATCH', 'PATCH', 'PATCH'],
      ...['PUT', 'DELETE'],
    ]);
    expect(run.reconciler.figures()).toEqual({ leading: false, marked: 0, reported: 0 });
    await run.look();
    expect(run.server.leases.size).toBe(0);
    expect(run.logged('quarantine is off, and no mark is left')).toHaveLength(1);
  });

  it('from the start: makes no Lease, but to take away what is left', async () => {
    await start({}, { installed: false });
    await run.look();
    expect(run.server.writes).toEqual([]);
    run.server.nodes = [nodeOf('left', { mark: 'violated', verified: 'gpu' })];
    await run.look();
    expect(run.marks('left')).toBe('- -');
    await run.look();
    expect(run.server.leases.size).toBe(0);
  });
});

describe('an API server that fails', () => {
  it.each([
    ['everything', undefined, ''],
    ['the Lease', undefined, 'leases'],
    ['reading a node', 'GET', '/nodes/'],
    ['writing a node', 'PATCH', ''],
  ])('at %s is logged once, and all is set right after it', async (_, method, path) => {
    await start({ bad: {} });
    run.setDriver('bad', tooOld);
    refuse(503, method, path);
    for (let look = 0; look < 20; look++) await run.look();
    expect(run.logged(failed)).toMatchObject([{ level: 'error', error: 'ApiError: HTTP 503: no' }]);
    obey();
    await run.look();
    expect(run.marks('bad')).toBe('violated -');
    refuse(503);
    await run.look();
    expect(run.logged(failed)).toHaveLength(2);
  });

  it('makes it lead no longer once the Lease has run out', async () => {
    await start({ bad: { driver: tooOld } });
    refuse(500, undefined, 'leases');
    await run.look(14_999);
    expect(run.reconciler.figures().leading).toBe(true);
    run.pass(1);
    expect(run.reconciler.figures().leading).toBe(false);
  });

  it.each([403, 413, 429, 503])('or answers %s for one node, keeps nobody from the others', async (status) => {
    await start({ one: {}, two: {} });
    run.setDriver('one', tooOld);
    run.setDriver('two', tooOld);
    refuse(status, 'PATCH', '/one');
    await run.look();
    await run.look();
    expect(run.marks('two')).toBe('violated -');
    expect(run.outcomes).toEqual(['failure', 'success', 'failure']);
    expect(run.logged(failed)).toMatchObject([{ error: `ApiError: HTTP ${status}: no` }]);
    expect(run.reconciler.figures().marked).toBe(1);
  });
});

describe('a replica that does not hold the Lease', () => {
  it('writes nothing and reports nothing, until the other has fallen silent', async () => {
    await start({ bad: { driver: tooOld }, older: { driver: tooOld, created: older } }, { state: 'unsynced' });
    await run.other.create(signal());
    run.world.state = 'synced';
    for (let look = 0; look < 3; look++) {
      await run.other.tryHold(signal());
      await run.look();
    }
    // All by the other.
    expect(run.server.writes.map(({ method }) => method)).toEqual(['POST', 'PUT', 'PUT', 'PUT', 'PUT']);
    expect(run.logged(notMarked)).toEqual([]);
    expect(run.reconciler.figures()).toEqual({ leading: false, marked: 0, reported: 0 });
    await run.look(15_000);
    expect(run.marks('bad')).toBe('violated -');
    expect(run.logged(notMarked)).toMatchObject([{ node: 'older' }]);
    expect(run.reconciler.figures().leading).toBe(true);
  });
});

describe('the end', () => {
  it('stops it, and lets go of the Lease: another holds it at its very next look', async () => {
    await start({ bad: { driver: tooOld } });
    expect((await run.other.tryHold(signal())).state).toBe('other');
    await run.reconciler.stop();
    expect(run.reconciler.figures().leading).toBe(false);
    expect((await run.other.tryHold(signal())).state).toBe('held');
  });

  it('asks for nothing where another leads', async () => {
    await start({}, { state: 'unsynced' });
    await run.other.create(signal());
    run.world.state = 'synced';
    await run.look();
    const requests = run.server.requests.length;
    await run.reconciler.stop();
    expect(run.server.requests).toHaveLength(requests);
    expect(holder()).toBe('other');
  });

  it('comes though the Lease cannot be let go of, and says so', async () => {
    await start({});
    refuse(403);
    await run.reconciler.stop();
    expect(run.logged('the Lease was not let go of')).toMatchObject([
      { level: 'warn', error: 'ApiError: HTTP 403: no' },
    ]);
  });

  it('comes in the middle of a look whose request is not answered', async () => {
    await start({ bad: {} });
    run.setDriver('bad', tooOld);
    let hangs: () => void = () => undefined;
    const hung = new Promise<void>((resolve) => {
      hangs = resolve;
    });
    run.server.misbehave = (request) => {
      if (request.method !== 'PATCH') return false;
      hangs();
      return true;
    };
    void run.look();
    await hung;
    await run.reconciler.stop();
    expect(holder()).toBeUndefined();
    expect(run.logged(failed)).toEqual([]);
  });
});
