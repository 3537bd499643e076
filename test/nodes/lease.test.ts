import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ApiClient, createApiClient } from '../../src/cluster/api-client.ts';
import { createLease, type Lease } from '../../src/cluster/lease.ts';
import { FakeApiServer, type FakeWrite, status } from './fake-api-server.ts';

/* Two replicas with a Lease of 15 s, each with a clock of its own. */

const leases = '/apis/coordination.k8s.io/v1/namespaces/osmo-admission/leases';
const path = `${leases}/quarantine`;
const createdAtMs = Date.parse('2026-11-25T10:00:00Z');

let server: FakeApiServer;
let client: ApiClient;
/** Our clock, and that of the other replica, which is an hour ahead. */
const clock = { ours: 0, others: 0 };
let ours: Lease;
let others: Lease;

beforeEach(async () => {
  server = new FakeApiServer();
  const url = await server.start();
  client = createApiClient(
    { server: url, ca: undefined, clientCert: undefined, clientKey: undefined, token: async () => undefined },
    { idleTimeoutMs: 1_000 },
  );
  clock.ours = createdAtMs;
  clock.others = createdAtMs + 3_600_000;
  ours = replica('ours', () => clock.ours);
  others = replica('other', () => clock.others);
});
afterEach(async () => {
  await client.close();
  await server.stop();
});

function replica(identity: string, now: () => number): Lease {
  return createLease({ client, namespace: 'osmo-admission', name: 'quarantine', identity, durationMs: 15_000, now });
}

const signal = (): AbortSignal => AbortSignal.timeout(5_000);
const pass = (ms: number): void => {
  clock.ours += ms;
  clock.others += ms;
};
const spec = (): unknown => server.leases.get(path)?.spec;
const put = (write: FakeWrite): boolean => write.method === 'PUT';
/** Answers every request of one method with an error. */
const refuse = (method: string, code: number): void => {
  server.misbehave = (request, response) => {
    if (request.method !== method) return false;
    status(response, code, 'no');
    return true;
  };
};

describe('a look at the Lease', () => {
  it('says that it is absent, and writes nothing', async () => {
    expect(await ours.tryHold(signal())).toEqual({ state: 'absent' });
    expect(ours.isHeld()).toBe(false);
    expect(server.writes).toEqual([]);
  });

  it('renews our own: since when we hold it, and how often it changed hands, stay', async () => {
    await ours.create(signal());
    pass(5_000);
    expect(await ours.tryHold(signal())).toEqual({ state: 'held', createdAtMs });
    expect(spec()).toEqual({
      holderIdentity: 'ours',
      leaseDurationSeconds: 15,
      acquireTime: '2026-11-25T10:00:00.000000Z',
      renewTime: '2026-11-25T10:00:05.000000Z',
      leaseTransitions: 0,
    });
  });

  it('takes one that nobody holds', async () => {
    for (const holder of [{}, { holderIdentity: '' }]) {
      server.leases.set(path, server.versioned({ metadata: { name: 'quarantine' }, spec: holder }));
      expect((await ours.tryHold(signal())).state).toBe('held');
      expect(spec()).toMatchObject({ holderIdentity: 'ours', leaseTransitions: 1 });
    }
  });

  it('writes against the very version that it saw, and keeps the object’s own metadata', async () => {
    await ours.create(signal());
    const version = server.leases.get(path)?.metadata.resourceVersion;
    await ours.tryHold(signal());
    expect(server.writes.findLast(put)?.body.metadata).toMatchObject({ resourceVersion: version });
    expect(server.leases.get(path)?.metadata.creationTimestamp).toBe('2026-11-25T10:00:00Z');
  });

  it.each([
    ['was written by somebody quicker', 409],
    ['was deleted meanwhile', 404],
  ])('does not hold what %s', async (_, code) => {
    await ours.create(signal());
    refuse('PUT', code);
    expect(await ours.tryHold(signal())).toEqual({ state: 'other', createdAtMs });
    expect(ours.isHeld()).toBe(false);
  });

  it.each([
    ['GET', 403],
    ['GET', 500],
    ['PUT', 403],
    ['PUT', 500],
  ])('throws what else the API server says to %s: %i', async (method, code) => {
    await ours.create(signal());
    refuse(method, code);
    await expect(ours.tryHold(signal())).rejects.toMatchObject({ name: 'ApiError', status: code });
  });
});

describe('making it', () => {
  it('holds it', async () => {
    expect(await ours.create(signal())).toEqual({ state: 'held', createdAtMs });
    expect(ours.isHeld()).toBe(true);
  });

  it('does not hold it where another was quicker', async () => {
    await others.create(signal());
    expect(await ours.create(signal())).toEqual({ state: 'other', createdAtMs });
    expect(spec()).toMatchObject({ holderIdentity: 'other' });
  });

  it('throws what else the API server says', async () => {
    refuse('POST', 403);
    await expect(ours.create(signal())).rejects.toMatchObject({ status: 403 });
  });
});

describe('another’s Lease', () => {
  beforeEach(async () => {
    await others.create(signal());
  });

  it('is not taken while the other renews it, however long', async () => {
    for (let look = 0; look < 10; look++) {
      expect((await ours.tryHold(signal())).state).toBe('other');
      pass(14_999);
      expect((await others.tryHold(signal())).state).toBe('held');
    }
    expect(spec()).toMatchObject({ holderIdentity: 'other', leaseTransitions: 0 });
  });

  it('is taken once it has not changed for its time, counted from when we first saw it so', async () => {
    // What happened before we looked does not count.
    pass(3_600_000);
    expect((await ours.tryHold(signal())).state).toBe('other');
    pass(14_999);
    expect((await ours.tryHold(signal())).state).toBe('other');
    pass(1);
    expect((await ours.tryHold(signal())).state).toBe('held');
    expect(spec()).toMatchObject({ holderIdentity: 'ours', leaseTransitions: 1 });
  });

  it.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
  ])('is judged by our clock alone: a renewTime %s changes nothing', async (_, offset) => {
    clock.others = clock.ours + offset;
    await others.tryHold(signal());
    expect((await ours.tryHold(signal())).state).toBe('other');
    pass(15_000);
    expect((await ours.tryHold(signal())).state).toBe('held');
  });

  it('that takes ours is held by us no longer, as soon as we look', async () => {
    pass(15_000);
    await ours.tryHold(signal());
    pass(15_000);
    await ours.tryHold(signal());
    expect(ours.isHeld()).toBe(true);
    await others.tryHold(signal());
    pass(15_000);
    expect((await others.tryHold(signal())).state).toBe('held');
    expect((await ours.tryHold(signal())).state).toBe('other');
    expect(ours.isHeld()).toBe(false);
  });
});

describe('being sure of it', () => {
  it('ends at the first look that shows it gone, or given to another', async () => {
    await ours.create(signal());
    server.leases.clear();
    expect(await ours.tryHold(signal())).toEqual({ state: 'absent' });
    expect(ours.isHeld()).toBe(false);
    await ours.create(signal());
    server.leases.clear();
    await others.create(signal());
    expect((await ours.tryHold(signal())).state).toBe('other');
    expect(ours.isHeld()).toBe(false);
  });

  it('ends with its time since the last renewal that passed, whatever failed since', async () => {
    await ours.create(signal());
    refuse('PUT', 500);
    pass(14_999);
    await expect(ours.tryHold(signal())).rejects.toThrow();
    expect(ours.isHeld()).toBe(true);
    pass(1);
    expect(ours.isHeld()).toBe(false);
  });

  it('is never both replicas’ at once, at any pace of looks', async () => {
    await ours.create(signal());
    for (let step = 0; step < 60; step++) {
      pass(2_500);
      // We fall silent for twenty seconds of every fifty; the other always looks.
      if (step % 20 < 12) await ours.tryHold(signal());
      await others.tryHold(signal());
      expect([ours, others].filter((lease) => lease.isHeld()).length).toBeLessThan(2);
    }
    expect(spec()).toMatchObject({ leaseTransitions: 1 });
  });
});

describe('letting go of it', () => {
  it('lets another take it at its very next look', async () => {
    await ours.create(signal());
    expect((await others.tryHold(signal())).state).toBe('other');
    await ours.release(signal());
    expect(ours.isHeld()).toBe(false);
    expect(spec()).toEqual({
      leaseDurationSeconds: 1,
      acquireTime: '2026-11-25T10:00:00.000000Z',
      renewTime: '2026-11-25T10:00:00.000000Z',
      leaseTransitions: 0,
    });
    expect((await others.tryHold(signal())).state).toBe('held');
    expect(spec()).toMatchObject({ holderIdentity: 'other', leaseTransitions: 1 });
  });

  it('leaves it where another holds it by now, or nobody, or where it is gone', async () => {
    await ours.release(signal());
    await others.create(signal());
    const before = spec();
    await ours.release(signal());
    expect(spec()).toEqual(before);
    await others.release(signal());
    const writes = server.writes.length;
    await others.release(signal());
    expect(server.writes.length).toBe(writes);
  });

  it.each([409, 404])('is content where it changed meanwhile: %i', async (code) => {
    await ours.create(signal());
    refuse('PUT', code);
    await ours.release(signal());
  });

  it('throws what else the API server says', async () => {
    await ours.create(signal());
    refuse('PUT', 403);
    await expect(ours.release(signal())).rejects.toMatchObject({ status: 403 });
  });
});

describe('removing it', () => {
  it('deletes it, and is content where it is gone', async () => {
    await ours.create(signal());
    await ours.remove(signal());
    expect(server.leases.size).toBe(0);
    expect(ours.isHeld()).toBe(false);
    await ours.remove(signal());
    expect(await ours.tryHold(signal())).toEqual({ state: 'absent' });
  });

  it('throws what else the API server says', async () => {
    refuse('DELETE', 500);
    await expect(ours.remove(signal())).rejects.toMatchObject({ status: 500 });
  });
});
