import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApiClient } from '../../src/cluster/api-client.ts';
import { type NodeWatch, startNodeWatch } from '../../src/cluster/node-watch.ts';
import { eventually } from '../server/support.ts';
import { FakeApiServer, type FakeNode, status, type Watcher } from './fake-api-server.ts';

let server: FakeApiServer;
let base: string;
let watch: NodeWatch;
let nowMs: number;
let waits: number[];
let logged: string[];
let token: string | undefined;
let changes: string[];

const node = (name: string, type = 'compute', resourceVersion = '100'): FakeNode => ({
  metadata: { name, resourceVersion, labels: { 'node-type': type } },
  spec: {},
  status: {},
});

beforeEach(async () => {
  server = new FakeApiServer();
  base = await server.start();
  nowMs = 1_000_000;
  waits = [];
  logged = [];
  token = undefined;
  changes = [];
});
afterEach(async () => {
  await watch.stop();
  await server.stop();
});

/** Waits are recorded and cut short: a test takes milliseconds whatever the backoff. */
function start(idleTimeoutMs = 60_000): void {
  watch = startNodeWatch({
    client: createApiClient(
      { server: base, ca: undefined, clientCert: undefined, clientKey: undefined, token: () => Promise.resolve(token) },
      { idleTimeoutMs },
    ),
    log: (_level, message) => void logged.push(message),
    onChange: (after, before, version) => {
      changes.push(
        `${version} ${after.name}: ${before?.labels['node-type'] ?? 'none'} to ${after.labels['node-type']}`,
      );
    },
    now: () => nowMs,
    random: () => 0.5,
    sleep: async (ms, signal) => {
      waits.push(ms);
      await wait(5, undefined, { signal }).catch(() => undefined);
    },
  });
}

const names = (): string[] => [...watch.snapshot().nodes.keys()].sort();
const typeOf = (name: string): string | undefined => watch.snapshot().nodes.get(name)?.labels['node-type'];
const watcher = async (index: number): Promise<Watcher> => {
  await eventually(`watch ${index}`, () => server.watchers.length > index);
  const found = server.watchers[index];
  if (found === undefined) throw new Error('no watcher');
  return found;
};

describe('the node watch', () => {
  it('lists page by page, then watches from the list’s resourceVersion with bookmarks', async () => {
    server.nodes = ['a', 'b', 'c', 'd', 'e'].map((name) => node(name));
    start();
    expect(watch.snapshot().state).toBe('unsynced');
    await watch.synced;
    expect(names()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(watch.snapshot()).toMatchObject({ state: 'synced', resourceVersion: '100', confirmedAtMs: 1_000_000 });
    const first = await watcher(0);
    expect(first.resourceVersion).toBe('100');
    expect(first.query.get('allowWatchBookmarks')).toBe('true');
    expect(server.lists()).toHaveLength(3);
  });

  it('follows events', async () => {
    server.nodes = [node('a')];
    start();
    const first = await watcher(0);
    first.event('ADDED', node('b', 'gpu', '101'));
    first.event('MODIFIED', node('a', 'operator', '102'));
    await eventually('both', () => typeOf('b') === 'gpu' && typeOf('a') === 'operator');
    first.event('DELETED', node('a', 'operator', '103'));
    await eventually('the delete', () => names().join() === 'b');
    expect(watch.snapshot().resourceVersion).toBe('103');
  });

  it('tells what has changed: not the first list, and no heartbeat, but what a later list brings', async () => {
    server.nodes = [node('a')];
    start();
    const first = await watcher(0);
    first.event('ADDED', node('b', 'gpu', '101'));
    first.event('MODIFIED', { ...node('b', 'gpu', '102'), status: { conditions: [] } });
    first.event('MODIFIED', node('b', 'jetson', '103'));
    await eventually('the events', () => changes.length === 2);
    server.nodes = [node('a', 'operator'), node('b', 'jetson')];
    server.resourceVersion = 200;
    first.event('ERROR', { kind: 'Status', code: 410, message: 'too old' });
    await eventually('the list', () => changes.length === 3);
    expect(changes).toEqual(['101 b: none to gpu', '103 b: gpu to jetson', '200 a: compute to operator']);
  });

  it('makes a new map only when something that rules read has changed', async () => {
    server.nodes = [node('a')];
    start();
    const first = await watcher(0);
    await watch.synced;
    const before = watch.snapshot().nodes;
    first.event('MODIFIED', {
      ...node('a', 'compute', '101'),
      status: { conditions: [{ type: 'MemoryPressure', status: 'False', lastHeartbeatTime: 'x' }] },
    });
    await eventually('the event', () => watch.snapshot().resourceVersion === '101');
    expect(watch.snapshot().nodes).toBe(before);
    first.event('MODIFIED', node('a', 'gpu', '102'));
    await eventually('the event', () => watch.snapshot().resourceVersion === '102');
    expect(watch.snapshot().nodes).not.toBe(before);
    expect(before.get('a')?.labels['node-type']).toBe('compute');
  });

  it('resumes from the last event or bookmark after the server ends the watch', async () => {
    start();
    const first = await watcher(0);
    first.event('ADDED', node('a', 'compute', '101'));
    first.event('BOOKMARK', { kind: 'Node', metadata: { resourceVersion: '150' } });
    await eventually('the bookmark', () => watch.snapshot().resourceVersion === '150');
    first.end();
    expect((await watcher(1)).resourceVersion).toBe('150');
    expect(server.lists()).toHaveLength(1);
    expect(names()).toEqual(['a']);
  });

  it('resumes after a dropped connection, a half line and a silent hang', async () => {
    start(150);
    const first = await watcher(0);
    first.event('ADDED', node('a', 'compute', '101'));
    await eventually('the event', () => names().length === 1);
    first.drop();
    const second = await watcher(1);
    expect(second.resourceVersion).toBe('101');
    second.raw('{"type":"MODIFIED","object":{"metadata":{"name":"a"');
    second.end();
    const third = await watcher(2);
    expect(third.resourceVersion).toBe('101');
    // Nothing more comes: the idle limit ends it.
    expect((await watcher(3)).resourceVersion).toBe('101');
    expect(server.lists()).toHaveLength(1);
  });

  it('lists again after 410 as an error event, and drops what was deleted meanwhile', async () => {
    server.nodes = [node('a'), node('b')];
    start();
    const first = await watcher(0);
    server.nodes = [node('b'), node('c')];
    server.resourceVersion = 200;
    first.event('ERROR', { kind: 'Status', code: 410, message: 'too old resource version' });
    expect((await watcher(1)).resourceVersion).toBe('200');
    expect(names()).toEqual(['b', 'c']);
  });

  it('knows a node that was made anew, alike, while nobody watched', async () => {
    const made = (creationTimestamp: string): FakeNode => ({
      ...node('a'),
      metadata: { name: 'a', creationTimestamp },
    });
    server.nodes = [made('2026-11-25T09:00:00Z')];
    start();
    const first = await watcher(0);
    server.nodes = [made('2026-11-25T11:00:00Z')];
    first.event('ERROR', { kind: 'Status', code: 410, message: 'too old resource version' });
    await watcher(1);
    expect(watch.snapshot().nodes.get('a')?.createdAtMs).toBe(Date.parse('2026-11-25T11:00:00Z'));
  });

  it('lists again after HTTP 410 on the watch', async () => {
    server.nodes = [node('a')];
    let gone = 1;
    server.misbehave = (request, response) => {
      if (!request.url?.includes('watch=true') || gone-- <= 0) return false;
      status(response, 410, 'Expired');
      return true;
    };
    start();
    await watcher(0);
    expect(server.lists()).toHaveLength(2);
  });

  for (const code of [401, 403, 429, 500, 503]) {
    it(`survives HTTP ${code} on list and watch, with growing waits, and keeps what it knows`, async () => {
      server.nodes = [node('a')];
      let failing = 3;
      server.misbehave = (_request, response) => {
        if (failing-- <= 0) return false;
        status(response, code, 'no');
        return true;
      };
      start();
      await watch.synced;
      expect(waits.slice(0, 3)).toEqual([375, 750, 1500]);
      const first = await watcher(0);
      failing = 2;
      first.end();
      await watcher(1);
      expect(names()).toEqual(['a']);
      await eventually('all is well again', () => watch.status().error === '');
    });
  }

  it('waits as long as Retry-After asks', async () => {
    let failing = 1;
    server.misbehave = (_request, response) => {
      if (failing-- <= 0) return false;
      status(response, 429, 'busy', { 'Retry-After': '7' });
      return true;
    };
    start();
    await watch.synced;
    expect(waits[0]).toBe(7_000);
  });

  it('survives an answer that is no JSON, a list that is none, and a refused connection', async () => {
    let failing = 2;
    server.misbehave = (_request, response) => {
      if (failing <= 0) return false;
      failing -= 1;
      response.writeHead(200).end(failing === 1 ? '<html>' : '{"items": 3}');
      return true;
    };
    start();
    await watch.synced;
    expect(waits.length).toBeGreaterThanOrEqual(2);
    await server.stop();
    await eventually('the failure shows', () => watch.status().error !== '');
    expect(watch.snapshot().state).toBe('synced');
  });

  it('leaves out a node that it cannot read, and says so; the others go on', async () => {
    server.nodes = [node('a'), { ...node('b'), spec: { taints: 'none' } }];
    start();
    const first = await watcher(0);
    await watch.synced;
    expect(names()).toEqual(['a']);
    expect(logged.some((message) => message.includes('left out'))).toBe(true);
    first.event('MODIFIED', { metadata: { name: 'a', resourceVersion: '101', labels: 7 } });
    first.event('ADDED', node('c', 'gpu', '102'));
    await eventually('the next event', () => names().join() === 'c');
  });

  it('starts over after an event that makes no sense', async () => {
    start();
    const first = await watcher(0);
    first.event('SURPRISE', node('a'));
    await watcher(1);
    expect(first.closed() || watch.status().watches > 1).toBe(true);
  });

  it('becomes stale when nobody confirms, and fresh again', async () => {
    server.nodes = [node('a')];
    start();
    const first = await watcher(0);
    await watch.synced;
    nowMs += 10 * 60_000;
    expect(watch.snapshot().state).toBe('stale');
    expect(names()).toEqual(['a']);
    first.event('BOOKMARK', { metadata: { resourceVersion: '120' } });
    await eventually('the bookmark', () => watch.snapshot().state === 'synced');
  });

  it('sends the token of the moment', async () => {
    server.token = 'second';
    token = 'first';
    start();
    await eventually('a refusal', () => watch.status().error.includes('401'));
    token = 'second';
    await watch.synced;
    expect(watch.snapshot().state).toBe('synced');
  });

  it('never asks in a tight loop when each watch is ended at once', async () => {
    server.misbehave = (request, response) => {
      if (!request.url?.includes('watch=true')) return false;
      response.writeHead(200).end();
      return true;
    };
    start();
    await eventually('some watches', () => watch.status().watches > 3);
    expect(waits.length).toBeGreaterThanOrEqual(watch.status().watches - 2);
  });
});

describe('a look-up', () => {
  const signal = (): AbortSignal => AbortSignal.timeout(2_000);

  it('finds, says absent only for 404, and unknown for everything else', async () => {
    server.nodes = [node('a', 'gpu')];
    start();
    await watch.synced;
    expect(await watch.lookUp('a', signal())).toMatchObject({ state: 'found', node: { name: 'a' } });
    expect(await watch.lookUp('z', signal())).toEqual({ state: 'absent' });
    for (const code of [401, 403, 429, 500]) {
      server.misbehave = (_request, response) => {
        status(response, code, 'because');
        return true;
      };
      expect(await watch.lookUp('a', signal())).toEqual({ state: 'unknown', why: `HTTP ${code}: because` });
    }
    server.misbehave = (_request, response) => {
      response.writeHead(200).end('{"metadata":{"name":7}}');
      return true;
    };
    expect(await watch.lookUp('a', signal())).toMatchObject({ state: 'unknown' });
  });

  it('is unknown when the API server does not answer in time', async () => {
    start();
    await watch.synced;
    server.misbehave = () => true;
    expect(await watch.lookUp('a', AbortSignal.timeout(30))).toEqual({
      state: 'unknown',
      why: 'the API server did not answer in time',
    });
  });

  it('asks nobody about a name that no node can have', async () => {
    start();
    await watch.synced;
    const before = server.requests.length;
    for (const name of ['..', 'A B', 'x/y', '', '%2e%2e'])
      expect(await watch.lookUp(name, signal())).toEqual({ state: 'absent' });
    expect(server.requests.slice(before).filter((url) => !url.includes('watch=true'))).toEqual([]);
  });
});

describe('any sequence of events, with breaks in between', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constantFrom('put', 'delete'),
        name: fc.constantFrom('a', 'b', 'c', 'd'),
        type: fc.constantFrom('compute', 'gpu', 'operator'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom('end', 'drop', 'gone'),
        name: fc.constant(''),
        type: fc.constant(''),
      }),
    },
  );

  it('ends with the nodes that are there', async () => {
    server.pageSize = 3;
    start();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        for (const { do: what, name, type } of steps) {
          const current = server.watchers.at(-1) ?? (await watcher(0));
          server.resourceVersion += 1;
          const version = String(server.resourceVersion);
          if (what === 'put' || what === 'delete') {
            const there = server.nodes.some(({ metadata }) => metadata.name === name);
            server.nodes = server.nodes.filter(({ metadata }) => metadata.name !== name);
            if (what === 'put') server.nodes.push(node(name, type, version));
            if (what === 'put') current.event(there ? 'MODIFIED' : 'ADDED', node(name, type, version));
            else if (there) current.event('DELETED', node(name, 'compute', version));
            if (what === 'put' || there)
              await eventually('the event', () => watch.snapshot().resourceVersion === version);
            continue;
          }
          const count = server.watchers.length;
          if (what === 'end') current.end();
          else if (what === 'drop') current.drop();
          else current.event('ERROR', { code: 410, message: 'gone' });
          await watcher(count);
        }
        const expected = server.nodes
          .map(({ metadata }) => `${metadata.name}=${metadata.labels?.['node-type']}`)
          .sort();
        await eventually(
          'the same nodes',
          () =>
            names()
              .map((name) => `${name}=${typeOf(name)}`)
              .join() === expected.join(),
        );
      }),
      { numRuns: 25 },
    );
  });
});
