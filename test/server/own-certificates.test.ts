import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAuthority, issueServing } from '../../src/server/self-signed.ts';
import { status } from '../nodes/fake-api-server.ts';
import {
  caPath,
  dayMs,
  fingerprints,
  leafOf,
  leasePath,
  mutating,
  type OwnReplica,
  OwnWorld,
  periods,
  tlsPath,
  validating,
} from './own-replicas.ts';

let world: OwnWorld;
beforeEach(async () => {
  world = new OwnWorld();
  await world.start();
});
afterEach(() => world.close());

const served = (replica: OwnReplica): X509Certificate => {
  const pair = replica.certificates()?.current();
  if (pair === undefined) throw new Error('serves nothing');
  return leafOf(pair);
};
const signing = (): string => fingerprints(world.secret(caPath, 'tls.crt'))[0] ?? '';
const logged = (replica: OwnReplica, message: string): readonly unknown[] =>
  replica.lines.filter((line) => line.message === message);
/** A replica that has made and serves everything. */
async function settled(): Promise<OwnReplica> {
  world.apply();
  const replica = await world.replica('one');
  await rest(replica);
  return replica;
}
/** Looks until the settle period is over, and one after that. */
async function rest(...replicas: readonly OwnReplica[]): Promise<void> {
  for (let look = 0; look < 7; look++) {
    world.pass(2_000);
    for (const replica of replicas) await replica.look();
  }
}
/** Answers requests with an error that the filter picks. */
function refuse(code: number, picks: (method: string, url: string) => boolean): void {
  world.server.misbehave = (request, response) => {
    if (!picks(request.method ?? '', request.url ?? '')) return false;
    status(response, code, 'no');
    return true;
  };
}
const obey = (): void => {
  world.server.misbehave = () => false;
};

describe('an installation without any certificate', () => {
  it('gets a CA, then caBundle, then a certificate of that CA, and serves it', async () => {
    world.apply();
    const replica = await world.replica('one');
    expect(world.writes()).toEqual(
      [
        'POST osmo-admission/secrets',
        'PATCH mutatingwebhookconfigurations/osmo-admission-webhook?fieldManager=osmo-admission-webhook-certificates',
        'PATCH validatingwebhookconfigurations/osmo-admission-webhook?fieldManager=osmo-admission-webhook-certificates',
        'POST osmo-admission/secrets',
      ].map((write) => write.replace(/\?.*/, '')),
    );
    const authority = new X509Certificate(world.secret(caPath, 'tls.crt'));
    const leaf = served(replica);
    expect(world.bundle()).toEqual([authority.fingerprint256]);
    expect([authority.ca, leaf.ca, leaf.verify(authority.publicKey)]).toEqual([true, false, true]);
    expect(authority.validToDate.getTime() - world.clock.nowMs).toBe(periods.caLifeMs);
    expect(leaf.validToDate.getTime() - world.clock.nowMs).toBe(periods.leafLifeMs);
    expect(leaf.checkHost('osmo-admission-webhook.osmo-admission.svc')).toBeDefined();
    expect(replica.own.error()).toBe('');
    for (const path of [caPath, tlsPath]) {
      expect(world.server.leases.get(path)).toMatchObject({
        type: 'kubernetes.io/tls',
        metadata: { labels: { 'app.kubernetes.io/managed-by': 'osmo-admission-webhook' } },
      });
    }
  });

  it('is served where no webhook configuration is there yet: they come last', async () => {
    const replica = await world.replica('one');
    const before = served(replica).fingerprint256;
    world.apply();
    await replica.look();
    expect(world.bundle()).toEqual([signing()]);
    expect(served(replica).fingerprint256).toBe(before);
  });

  it('made by two at the same moment is one: both serve it', async () => {
    world.apply();
    const replicas = await Promise.all([world.replica('one'), world.replica('two')]);
    for (const replica of replicas) await replica.look();
    expect(new Set(replicas.map((replica) => served(replica).fingerprint256)).size).toBe(1);
    expect(world.writes().filter((write) => write.startsWith('POST'))).toHaveLength(2);
    expect(replicas.flatMap(({ lines }) => lines.filter(({ level }) => level === 'error'))).toEqual([]);
  });

  it('is waited for, and the reason said once, while the API server refuses', async () => {
    world.apply();
    refuse(403, (method, url) => method === 'POST' && url.endsWith('/secrets'));
    const replica = await world.replica('one');
    for (let look = 0; look < 3; look++) await replica.look();
    expect(replica.certificates()).toBeUndefined();
    expect(replica.own.error()).toBe('there is no Secret osmo-admission-webhook-tls; HTTP 403: no');
    expect(logged(replica, 'certificates are not kept as they should be; trying again')).toHaveLength(1);
    expect(logged(replica, 'waiting for a serving certificate')).toHaveLength(1);
    expect(replica.sleptMs()).toBe(500);
    obey();
    await replica.look();
    expect(served(replica)).toBeDefined();
    expect(replica.own.error()).toBe('');
  });

  it('ends with nothing where it is stopped before there is one', async () => {
    refuse(503, () => true);
    const replica = await world.replica('one');
    await replica.own.stop();
    expect(await replica.own.first()).toBeUndefined();
  });
});

describe('a replica', () => {
  it('serves what is there after a restart, and nothing is written', async () => {
    const before = served(await settled()).fingerprint256;
    const writes = world.writes().length;
    const next = await world.replica('two');
    expect(served(next).fingerprint256).toBe(before);
    expect(world.writes()).toHaveLength(writes);
  });

  it('never serves a certificate that some caBundle does not trust', async () => {
    const replica = await settled();
    const before = served(replica).fingerprint256;
    const foreign = createAuthority({ name: 'x', notBefore: new Date(0), notAfter: new Date('2099-01-01') });
    const { certPem, keyPem } = issueServing(foreign, {
      dnsNames: ['osmo-admission-webhook.osmo-admission.svc'],
      ipAddresses: [],
      notBefore: new Date(0),
      notAfter: new Date('2030-01-01'),
    });
    // The writer does not mend it: another holds the Lease.
    const lease = world.server.leases.get(leasePath) ?? { metadata: { name: 'x' } };
    world.server.leases.set(leasePath, world.server.versioned({ ...lease, spec: { holderIdentity: 'another' } }));
    world.edit(tlsPath, { 'tls.crt': certPem, 'tls.key': keyPem });
    await replica.look();
    expect(served(replica).fingerprint256).toBe(before);
    expect(replica.own.error()).toContain('holds none of the authorities that issued the certificate');
    expect(replica.reloads.at(-1)).toMatch(/^failure caBundle of mutatingwebhookconfigurations/);
  });

  it('that does not hold the Lease writes nothing', async () => {
    await settled();
    const writes = world.writes().length;
    const other = await world.replica('two');
    world.server.leases.delete(tlsPath);
    world.apply();
    await other.look();
    expect(world.writes()).toHaveLength(writes);
    expect(other.own.error()).toBe('there is no Secret osmo-admission-webhook-tls');
    expect(other.certificates()?.current()).toBeDefined();
  });

  it('whose Lease runs out in the middle of a look writes nothing more', async () => {
    world.apply();
    let late = true;
    world.server.misbehave = (request) => {
      if (late && request.url?.endsWith('/osmo-admission-webhook-tls') === true) world.pass(15_000);
      return false;
    };
    const replica = await world.replica('one');
    expect(world.writes()).toEqual([]);
    late = false;
    await replica.look();
    expect(served(replica)).toBeDefined();
  });

  it('takes over once the writer has let go', async () => {
    const one = await settled();
    const two = await world.replica('two');
    await one.own.stop();
    world.apply(['pods', 'nodes', 'more']);
    await two.look();
    expect(world.bundle()).toEqual([signing()]);
  });
});

describe('caBundle', () => {
  it.each([
    ['the configurations were applied again without it', ['pods', 'nodes']],
    ['the list of webhooks is another', ['workloads', 'pods']],
  ])('is set again where %s', async (_, names) => {
    const replica = await settled();
    world.apply(names);
    await replica.look();
    expect(world.bundle()).toEqual([signing()]);
    expect(replica.own.error()).toBe('');
  });

  it('is set on those webhooks alone that lack it, each by its name', async () => {
    const replica = await settled();
    const live = Object(world.server.leases.get(validating));
    const added = { ...live, webhooks: [...live.webhooks, { name: 'new', clientConfig: {} }] };
    world.server.leases.set(validating, world.server.versioned(added));
    await replica.look();
    expect(world.server.writes.findLast(({ method }) => method === 'PATCH')?.body).toEqual([
      { op: 'test', path: '/webhooks/2/name', value: 'new' },
      { op: 'add', path: '/webhooks/2/clientConfig/caBundle', value: live.webhooks[0].clientConfig.caBundle },
    ]);
  });

  it('waits for the next look where the list changed meanwhile', async () => {
    const replica = await settled();
    world.apply();
    world.server.misbehave = (request) => {
      if (request.method === 'PATCH') world.apply(['nodes', 'pods']);
      return false;
    };
    await replica.look();
    expect(world.bundle()).toEqual([]);
    obey();
    await replica.look();
    expect(world.bundle()).toEqual([signing()]);
    expect(logged(replica, 'certificates are not kept as they should be; trying again')).toEqual([]);
  });
});

describe('the serving certificate', () => {
  it('is renewed before its end with the same key, and caBundle stays', async () => {
    const replica = await settled();
    const [before, bundle, key] = [served(replica).fingerprint256, world.bundle(), world.secret(tlsPath, 'tls.key')];
    world.pass(59 * dayMs);
    await replica.look();
    expect(served(replica).fingerprint256).toBe(before);
    world.pass(dayMs);
    await replica.look();
    expect(served(replica).fingerprint256).not.toBe(before);
    expect([world.bundle(), world.secret(tlsPath, 'tls.key')]).toEqual([bundle, key]);
    expect(replica.reloads).toEqual(['success', 'success']);
  });

  it.each([
    ['its Secret is deleted', () => void world.server.leases.delete(tlsPath)],
    ['its key is broken', () => world.edit(tlsPath, { 'tls.key': 'x' })],
    ['its certificate is gone', () => world.edit(tlsPath, { 'tls.crt': '' })],
  ])('is made again from the same CA where %s, with the key that is served', async (_, spoil) => {
    const replica = await settled();
    const [bundle, key] = [world.bundle(), world.secret(tlsPath, 'tls.key')];
    spoil();
    await replica.look();
    const authority = new X509Certificate(world.secret(caPath, 'tls.crt'));
    expect([world.bundle(), world.secret(tlsPath, 'tls.key')]).toEqual([bundle, key]);
    expect(served(replica).verify(authority.publicKey)).toBe(true);
    expect(replica.own.error()).toBe('');
  });

  it('is made again where it is for another name', async () => {
    const replica = await settled();
    const issued = issueServing(
      { certPem: world.secret(caPath, 'tls.crt'), keyPem: world.secret(caPath, 'tls.key') },
      {
        dnsNames: ['osmo-admission-webhook.elsewhere.svc'],
        ipAddresses: [],
        notBefore: new Date(0),
        notAfter: new Date('2030-01-01'),
      },
    );
    world.edit(tlsPath, { 'tls.crt': issued.certPem, 'tls.key': issued.keyPem });
    await replica.look();
    expect(served(replica).checkHost('osmo-admission-webhook.osmo-admission.svc')).toBeDefined();
  });

  it('never outlives its CA', async () => {
    const replica = await settled();
    const { certPem, keyPem } = createAuthority({
      name: 'short',
      notBefore: new Date(world.clock.nowMs),
      notAfter: new Date(world.clock.nowMs + 366 * dayMs),
    });
    world.edit(caPath, { 'tls.crt': certPem, 'tls.key': keyPem });
    await rest(replica);
    const authority = new X509Certificate(certPem);
    expect(served(replica).verify(authority.publicKey)).toBe(true);
    expect(served(replica).validToDate.getTime()).toBeLessThanOrEqual(authority.validToDate.getTime());
  });
});

describe('the CA', () => {
  it('is followed by another before its end: first both in caBundle, then a certificate of the new one, the old one out a day later', async () => {
    const replica = await settled();
    const other = await world.replica('two');
    const [old, leaf] = [signing(), served(replica).fingerprint256];
    // Its certificate is renewed all the while.
    world.pass(periods.caLifeMs - periods.caRenewBeforeMs - 40 * dayMs);
    await replica.look();
    await other.look();
    const renewed = served(replica).fingerprint256;
    expect([signing(), renewed === leaf]).toEqual([old, false]);
    world.pass(39 * dayMs);
    await replica.look();
    const last = served(replica).fingerprint256;
    world.pass(dayMs);
    await replica.look();
    await other.look();
    const next = signing();
    expect(next).not.toBe(old);
    expect(world.bundle()).toEqual([next, old]);
    expect([served(replica).fingerprint256, served(other).fingerprint256]).toEqual([last, last]);
    world.pass(periods.settleMs - 1);
    await replica.look();
    expect(served(replica).fingerprint256).toBe(last);
    world.pass(1);
    await replica.look();
    await other.look();
    const authority = new X509Certificate(world.secret(caPath, 'tls.crt'));
    for (const each of [replica, other]) expect(served(each).verify(authority.publicKey)).toBe(true);
    world.pass(dayMs);
    await replica.look();
    expect(world.bundle()).toEqual([next, old]);
    world.pass(1);
    await replica.look();
    expect(world.bundle()).toEqual([next]);
    expect(fingerprints(world.secret(caPath, 'ca.crt'))).toEqual([next]);
  });

  it.each([
    ['its Secret is deleted', () => void world.server.leases.delete(caPath)],
    [
      'both Secrets are deleted',
      () => {
        world.server.leases.delete(caPath);
        world.server.leases.delete(tlsPath);
      },
    ],
  ])('is replaced where %s, with a new key, and what is served stays trusted', async (_, lose) => {
    const replica = await settled();
    const [old, leaf, key] = [signing(), served(replica).fingerprint256, world.secret(tlsPath, 'tls.key')];
    lose();
    await replica.look();
    expect(world.bundle()).toEqual([signing(), old]);
    expect(served(replica).fingerprint256).toBe(leaf);
    await rest(replica);
    expect(served(replica).fingerprint256).not.toBe(leaf);
    expect(world.secret(tlsPath, 'tls.key')).not.toBe(key);
    expect(world.bundle()).toEqual([signing(), old]);
  });

  it('before it leaves caBundle at once where somebody takes it out of both Secrets, but never while what it issued is served', async () => {
    const replica = await settled();
    const old = signing();
    world.server.leases.delete(caPath);
    await replica.look();
    const next = world.secret(caPath, 'tls.crt');
    const cut = (): void => {
      for (const path of [caPath, tlsPath]) world.edit(path, { 'ca.crt': next });
    };
    cut();
    await replica.look();
    expect(world.bundle()).toEqual([signing(), old]);
    await rest(replica);
    cut();
    await replica.look();
    expect(world.bundle()).toEqual(fingerprints(next));
  });

  it('that somebody broke is left alone while the certificate is good, and loudly; caBundle is still kept', async () => {
    const replica = await settled();
    const [bundle, leaf] = [world.bundle(), served(replica).fingerprint256];
    world.edit(caPath, { 'tls.key': 'x' });
    const writes = world.writes().length;
    await rest(replica);
    expect(world.writes()).toHaveLength(writes);
    expect(replica.own.error()).toContain(
      'Secret osmo-admission-webhook-ca: tls.key: holds no unencrypted PEM private key',
    );
    expect(logged(replica, 'certificates are not kept as they should be; trying again')).toHaveLength(1);
    world.apply();
    await replica.look();
    expect([world.bundle(), served(replica).fingerprint256]).toEqual([bundle, leaf]);
  });

  it('that stays broken is replaced once the certificate must be renewed, and the old one stays trusted', async () => {
    const replica = await settled();
    const old = signing();
    world.edit(caPath, { 'tls.key': 'x' });
    world.pass(60 * dayMs);
    await replica.look();
    expect(world.bundle()).toEqual([signing(), old]);
    expect(logged(replica, 'a new CA was made')).toMatchObject([{ level: 'info' }, { level: 'error' }]);
    await rest(replica);
    expect(served(replica).verify(new X509Certificate(world.secret(caPath, 'tls.crt')).publicKey)).toBe(true);
  });

  it('that is put back is used again', async () => {
    const replica = await settled();
    const [old, key] = [signing(), world.secret(caPath, 'tls.key')];
    world.edit(caPath, { 'tls.key': 'x' });
    await replica.look();
    world.edit(caPath, { 'tls.key': key });
    await replica.look();
    expect([signing(), replica.own.error()]).toEqual([old, '']);
  });

  it('of somebody else, put into the Secret, is used; the one before stays trusted', async () => {
    const replica = await settled();
    const old = signing();
    const { certPem, keyPem } = createAuthority({
      name: 'theirs',
      notBefore: new Date(0),
      notAfter: new Date('2040-01-01'),
    });
    world.edit(caPath, { 'tls.crt': certPem, 'tls.key': keyPem, 'ca.crt': certPem });
    await rest(replica);
    expect(world.bundle()).toEqual([...fingerprints(certPem), old]);
    expect(served(replica).verify(new X509Certificate(certPem).publicKey)).toBe(true);
  });
});

describe('uninstalling', () => {
  it('makes no Secret any more once the configurations have gone, and no Lease where that has gone, too', async () => {
    const replica = await settled();
    for (const path of [mutating, validating, caPath, tlsPath]) world.server.leases.delete(path);
    await replica.look();
    expect([...world.server.leases.keys()]).toEqual([leasePath]);
    world.server.leases.delete(leasePath);
    await replica.look();
    expect([...world.server.leases.keys()]).toEqual([]);
    expect(replica.certificates()?.current()).toBeDefined();
  });

  it('is over where they are installed again', async () => {
    const replica = await settled();
    for (const path of [mutating, validating, caPath, tlsPath, leasePath]) world.server.leases.delete(path);
    await replica.look();
    world.apply();
    // Nobody trusts what it served before, so that there is nothing to wait for.
    await replica.look();
    expect(world.bundle()).toEqual([signing()]);
    expect(served(replica).verify(new X509Certificate(world.secret(caPath, 'tls.crt')).publicKey)).toBe(true);
    expect(replica.own.error()).toBe('');
  });
});

it('no key is ever logged or said', async () => {
  const replica = await settled();
  const keys = [caPath, tlsPath].map((path) => world.secret(path, 'tls.key'));
  world.edit(caPath, { 'tls.key': `${keys[0]}x`, 'tls.crt': keys[0] ?? '' });
  world.edit(tlsPath, { 'tls.crt': keys[1] ?? '' });
  await rest(replica);
  const said = JSON.stringify([replica.lines, replica.reloads, replica.own.error()]);
  for (const key of keys) {
    for (const line of key.split('\n').filter((text) => text !== '' && !text.startsWith('-----'))) {
      expect(said).not.toContain(line);
    }
  }
});
