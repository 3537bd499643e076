import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApiClient } from '../../src/cluster/api-client.ts';
import { type ClaimWatch, startClaimWatch } from '../../src/cluster/claim-watch.ts';
import type { ClaimReference } from '../../src/policy/model/claims.ts';
import { eventually } from '../server/support.ts';
import { FakeApiServer, type FakeNode, status, type Watcher } from './fake-api-server.ts';

let server: FakeApiServer;
let base: string;
let client: ReturnType<typeof createApiClient>;
let watch: ClaimWatch;
let wanted: boolean;
let waits: number[];
let logged: string[];

const group = '/apis/resource.k8s.io';
const spec = (deviceClassName: string): object => ({
  devices: { requests: [{ name: 'gpu', exactly: { deviceClassName } }] },
});
const claim = (name: string, deviceClass: string, resourceVersion = '100'): FakeNode => ({
  metadata: { name, namespace: 'ns', resourceVersion },
  spec: spec(deviceClass),
});
const template = (name: string, deviceClass: string, resourceVersion = '100'): FakeNode => ({
  metadata: { name, namespace: 'ns', resourceVersion },
  spec: { spec: spec(deviceClass) },
});
/** What the API server serves: the lists of one version. */
function serveClaims(version: string, templates: readonly FakeNode[], claims: readonly FakeNode[] = []): void {
  server.others.set(`${group}/${version}/resourceclaimtemplates`, [...templates]);
  server.others.set(`${group}/${version}/resourceclaims`, [...claims]);
}

beforeEach(async () => {
  server = new FakeApiServer();
  base = await server.start();
  wanted = true;
  waits = [];
  logged = [];
});
afterEach(async () => {
  await watch.stop();
  await client.close();
  await server.stop();
});

/** Waits are recorded and cut short: a test takes milliseconds whatever the backoff. */
function start(): void {
  client = createApiClient(
    { server: base, ca: undefined, clientCert: undefined, clientKey: undefined, token: async () => undefined },
    { idleTimeoutMs: 60_000 },
  );
  watch = startClaimWatch({
    client,
    wanted: () => wanted,
    log: (_level, message) => void logged.push(message),
    now: () => 1_000_000,
    random: () => 0.5,
    sleep: async (ms, signal) => {
      waits.push(ms);
      await wait(5, undefined, { signal }).catch(() => undefined);
    },
  });
}

/** The device classes, or what is said instead. */
function ask(kind: ClaimReference['kind'], name: string, namespace = 'ns'): string {
  const answer = watch.classesOf(namespace, { kind, name });
  if (answer.state === 'found') return answer.classes.join();
  return answer.state === 'off' ? 'off' : `unknown: ${answer.why}`;
}
const askTemplate = (name: string): string => ask('ResourceClaimTemplate', name);
const watcherOf = async (plural: string): Promise<Watcher> => {
  const of = (): Watcher | undefined => server.watchers.findLast(({ path }) => path.endsWith(`/${plural}`));
  await eventually(`a watch of ${plural}`, () => of() !== undefined);
  const found = of();
  if (found === undefined) throw new Error('no watcher');
  return found;
};
const state = (): string | undefined => watch.status()?.state;

describe('the claim watch', () => {
  it('knows the device classes of templates and claims, by kind, namespace and name', async () => {
    serveClaims(
      'v1',
      [template('a', 'gpu.example.com'), template('b', 'x'), template('c', 'y')],
      [claim('a', 'other')],
    );
    start();
    expect(askTemplate('a')).toBe('unknown: claims are not listed yet');
    await eventually('the lists', () => state() === 'synced');
    expect(watch.status()).toEqual({ state: 'synced', templates: 3, claims: 1, error: '' });
    expect(askTemplate('a')).toBe('gpu.example.com');
    expect(ask('ResourceClaim', 'a')).toBe('other');
    expect(ask('ResourceClaim', 'a', 'elsewhere')).toMatch(/^unknown: there is none/);
    expect(askTemplate('z')).toMatch(/^unknown: there is none/);
  });

  it('follows what comes, changes and goes', async () => {
    serveClaims('v1', []);
    start();
    const templates = await watcherOf('resourceclaimtemplates');
    templates.event('ADDED', template('a', 'gpu.example.com', '101'));
    await eventually('the first', () => askTemplate('a') === 'gpu.example.com');
    // Another of the same name: templates themselves cannot change.
    templates.event('DELETED', template('a', 'gpu.example.com', '102'));
    templates.event('ADDED', template('a', 'other', '103'));
    await eventually('the second', () => askTemplate('a') === 'other');
    templates.event('DELETED', template('a', 'other', '104'));
    await eventually('nothing', () => askTemplate('a').startsWith('unknown'));
  });

  it('says unknown of one that it cannot read, and goes on', async () => {
    serveClaims('v1', [{ ...template('a', 'x'), spec: { spec: { devices: 'all' } } }, template('b', 'y')]);
    start();
    await eventually('the lists', () => state() === 'synced');
    expect(askTemplate('a')).toMatch(/^unknown/);
    expect(askTemplate('b')).toBe('y');
    expect(logged).toContain('a ResourceClaimTemplate that cannot be read is left out of the index');
  });

  it.each(['v1beta2', 'v1beta1'])('takes %s where the API server has nothing newer', async (version) => {
    serveClaims(version, [template('a', 'x')]);
    start();
    await eventually('the lists', () => askTemplate('a') === 'x');
    expect((await watcherOf('resourceclaimtemplates')).path).toContain(`/${version}/`);
  });
});

describe('an API server that serves no claims', () => {
  it('is off, said once, and asked again after ten minutes until it does', async () => {
    start();
    await eventually('off', () => state() === 'absent');
    await eventually('further looks', () => waits.length > 6);
    expect(askTemplate('a')).toBe('off');
    expect(new Set(waits)).toEqual(new Set([10 * 60_000]));
    expect(logged.sort()).toEqual([
      'the API server serves no resourceclaims: off',
      'the API server serves no resourceclaimtemplates: off',
    ]);
    serveClaims('v1', [template('a', 'x')]);
    await eventually('on', () => state() === 'synced' && askTemplate('a') === 'x');
  });

  it('to one watch, and lists them all the same, is not off: another of its replicas may be older', async () => {
    serveClaims('v1', [template('a', 'x')]);
    let refusals = 3;
    server.misbehave = (request, response) => {
      if (!request.url?.includes('watch=true') || refusals-- <= 0) return false;
      status(response, 404, 'not here');
      return true;
    };
    start();
    await watcherOf('resourceclaimtemplates');
    await watcherOf('resourceclaims');
    expect(askTemplate('a')).toBe('x');
    expect(Math.max(...waits)).toBeLessThan(10 * 60_000);
  });

  it('any more, knows nothing of those there were', async () => {
    serveClaims('v1', [template('a', 'x')]);
    start();
    await eventually('the lists', () => state() === 'synced');
    server.others.clear();
    (await watcherOf('resourceclaimtemplates')).end();
    await eventually('off', () => askTemplate('a') === 'off');
    expect(watch.status()).toMatchObject({ state: 'absent', templates: 0 });
  });
});

describe('an API server that refuses', () => {
  it.each([401, 403, 429, 500, 503])(
    'with HTTP %i leaves claims unknown, with the reason, until it lists them',
    async (code) => {
      serveClaims('v1', [template('a', 'x')]);
      server.misbehave = (_request, response) => {
        status(response, code, 'because');
        return true;
      };
      start();
      await eventually('the reason', () => askTemplate('a') === `unknown: HTTP ${code}: because`);
      expect(watch.status()).toMatchObject({ state: 'unsynced', error: `HTTP ${code}: because` });
      server.misbehave = () => false;
      await eventually('the lists', () => askTemplate('a') === 'x');
    },
  );
});

describe('a policy', () => {
  it('that asks for no device class has nothing watched; one that begins to, starts it, and back', async () => {
    serveClaims('v1', [template('a', 'x')]);
    wanted = false;
    start();
    expect(watch.status()).toBeUndefined();
    expect(askTemplate('a')).toBe('unknown: claims are not watched');
    expect(server.requests).toEqual([]);
    wanted = true;
    watch.follow();
    watch.follow();
    await eventually('the lists', () => askTemplate('a') === 'x');
    const templates = await watcherOf('resourceclaimtemplates');
    await watcherOf('resourceclaims');
    expect(server.watchers).toHaveLength(2);
    wanted = false;
    watch.follow();
    expect(watch.status()).toBeUndefined();
    await eventually('the end of the watch', () => templates.closed());
  });
});
