import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, runCommand } from '../cluster/control-plane.ts';
import { root, startCluster, untilCalled, webhookName } from '../cluster/installation.ts';
import {
  caSecret,
  certificatesLease,
  configurations,
  installSelfSigned,
  type SelfSignedInstallation,
  tlsSecret,
} from '../cluster/self-signed.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { type Certified, certified, configurationPaths as paths } from './support/certified.ts';

/* The server keeps its own certificates on a real API server, with the rights that this takes and no others. */

let plane: ControlPlane;
let webhook: SelfSignedInstallation;
let seen: Certified;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await installSelfSigned(plane);
  seen = certified(plane, webhook.endpoints);
}, 120_000);

afterAll(async () => {
  await webhook?.close();
  await plane?.close();
}, 60_000);

const errors = (): readonly unknown[] =>
  webhook.replicas.flatMap((replica) =>
    replica.log().filter(({ level, message }) => level === 'error' && message !== 'webhook configuration gap'),
  );

describe('an installation without cert-manager and without caBundle', () => {
  it('two replicas that start at the same moment make one CA and one certificate, and the API server calls them', async () => {
    await Promise.all(webhook.replicas.map((replica) => replica.startServer()));
    await untilCalled(plane);
    await seen.untilServed();
    const [authority, leaf] = [await seen.certificateIn(caSecret), await seen.certificateIn(tlsSecret)];
    expect(authority !== undefined && leaf?.verify(authority.publicKey)).toBe(true);
    await seen.untilBundled(1);
    const made = webhook.replicas.flatMap((replica) =>
      replica
        .log()
        .filter(({ message }) => message === 'a new CA was made' || message === 'a serving certificate was issued'),
    );
    expect(made).toHaveLength(2);
    expect(errors()).toEqual([]);
    const { body } = await plane.api.send('GET', certificatesLease);
    expect(body.spec.holderIdentity).not.toBe('');
  });

  it('has no gap, and says what it serves', async () => {
    for (const replica of webhook.replicas) {
      await eventually('it is ready and has no gap', async () => {
        const text = await (await fetch(`${replica.health()}/readyz`)).text();
        return /^\[\+\] certificate: expires /m.test(text) && /^\[\+\] configuration/m.test(text);
      });
    }
  });

  it('owns caBundle of the configurations, and no other field', async () => {
    for (const path of paths) {
      const { body } = await plane.api.send('GET', path);
      const own = body.metadata.managedFields.filter(({ manager }: { manager: string }) =>
        manager.endsWith('-certificates'),
      );
      expect(own).toHaveLength(1);
      const { 'f:webhooks': webhooks, ...others } = own[0].fieldsV1;
      expect(others).toEqual({});
      for (const fields of Object.values(webhooks)) expect(fields).toEqual({ 'f:clientConfig': { 'f:caBundle': {} } });
    }
  });
});

describe('caBundle', () => {
  it('is set again where the configurations are replaced by others without it', async () => {
    await plane.apply(['replace', '-f', '-'], configurations());
    await seen.untilBundled(1);
    await untilCalled(plane);
  });

  it('stays where they are applied again by kubectl', async () => {
    await plane.apply(['apply', '-f', '-'], configurations());
    await plane.apply(['apply', '-f', '-'], configurations());
    expect((await seen.bundleSizes()).every((size) => size === 1)).toBe(true);
  });

  it('stays where they are applied again by the server, and keeps nobody from another list of webhooks', async () => {
    const [first] = configurations();
    const webhooks: readonly KubeObject[] = Reflect.get(Object(first), 'webhooks');
    const apply = async (list: readonly KubeObject[]): Promise<number> => {
      const options = { contentType: 'application/apply-patch+yaml' };
      const path = `${paths[0]}?fieldManager=gitops&force=true`;
      return (await plane.api.send('PATCH', path, { ...first, webhooks: list }, options)).code;
    };
    expect(await apply(webhooks)).toBe(200);
    expect((await seen.bundleSizes()).every((size) => size === 1)).toBe(true);
    const added = { ...webhooks[0], name: 'added.mutate.osmo-admission' };
    expect(await apply([...webhooks, added])).toBe(200);
    await seen.untilBundled(1);
    // The server has its caBundle in there by now.
    expect(await apply(webhooks)).toBe(200);
    const names = (await plane.api.send('GET', paths[0] ?? '')).body.webhooks.map(({ name }: { name: string }) => name);
    expect(names).toEqual(webhooks.map(({ name }) => name));
  });
});

describe('under load', () => {
  it('the Secret of the certificate is deleted, and made again from the same CA: no create fails', async () => {
    const [authority, leaf] = [await seen.fingerprintIn(caSecret), await seen.fingerprintIn(tlsSecret)];
    const { failed } = await seen.during(async () => {
      expect((await plane.api.send('DELETE', tlsSecret)).code).toBe(200);
      await eventually('it is there', async () => (await seen.certificateIn(tlsSecret)) !== undefined);
      await seen.untilServed(leaf);
    });
    expect(failed).toEqual([]);
    expect(await seen.fingerprintIn(caSecret)).toBe(authority);
    await seen.untilBundled(1);
  });

  it('the CA is replaced: both are trusted before a certificate of the new one is served, and no create fails', async () => {
    const [authority, leaf] = [await seen.fingerprintIn(caSecret), await seen.fingerprintIn(tlsSecret)];
    const { failed } = await seen.during(async () => {
      expect((await plane.api.send('DELETE', caSecret)).code).toBe(200);
      await seen.untilBundled(2);
      expect(await seen.fingerprintIn(tlsSecret)).toBe(leaf);
      await seen.untilServed(leaf);
    });
    expect(failed).toEqual([]);
    const fresh = await seen.certificateIn(caSecret);
    expect(fresh?.fingerprint256).not.toBe(authority);
    expect(fresh !== undefined && (await seen.certificateIn(tlsSecret))?.verify(fresh.publicKey)).toBe(true);
    await seen.untilBundled(2);
  });
});

describe('a restart', () => {
  it('of every replica keeps CA and certificate', async () => {
    const before = [await seen.fingerprintIn(caSecret), await seen.fingerprintIn(tlsSecret)];
    for (const replica of webhook.replicas) await replica.stopServer();
    for (const replica of webhook.replicas) await replica.startServer();
    await seen.untilServed();
    expect([await seen.fingerprintIn(caSecret), await seen.fingerprintIn(tlsSecret)]).toEqual(before);
  });

  it('that is stopped lets go of the Lease: the other keeps caBundle from then on', async () => {
    const [first, second] = webhook.replicas;
    await first?.stopServer();
    await plane.apply(['replace', '-f', '-'], configurations());
    await seen.untilBundled(2);
    await first?.startServer();
    await second?.stopServer();
    await plane.apply(['replace', '-f', '-'], configurations());
    await seen.untilBundled(2);
    await second?.startServer();
  });
});

describe('uninstalling', () => {
  it('leaves no Secret and no Lease, though the servers still run', async () => {
    const others = { metadata: { name: 'not-ours' }, apiVersion: 'v1', kind: 'Secret' };
    await plane.apply(['apply', '-n', 'osmo-admission', '-f', '-'], [others]);
    const said = await runCommand(join(root, 'bin', 'osmo-admission'), [
      'uninstall',
      '--kubeconfig',
      plane.kubeconfig(),
    ]);
    expect(said.stderr).toBe('');
    expect(said.stdout).toContain(`deleted secret/${webhookName}-ca\n`);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const secrets = await plane.api.list('/api/v1/namespaces/osmo-admission/secrets');
    expect(secrets.map(({ metadata }) => Reflect.get(Object(metadata), 'name'))).toEqual(['not-ours']);
    expect(await plane.api.list('/apis/coordination.k8s.io/v1/namespaces/osmo-admission/leases')).toEqual([]);
  });
});

it('no private key is in any log', async () => {
  for (const replica of webhook.replicas) expect(JSON.stringify(replica.log())).not.toContain('PRIVATE KEY');
});
