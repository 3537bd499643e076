import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { serverName } from '../../scripts/server-process.ts';
import { type ControlPlane, runCommand } from '../cluster/control-plane.ts';
import { probe, root, startCluster, webhookName } from '../cluster/installation.ts';
import {
  caSecret,
  certificatesLease,
  configurations,
  installSelfSigned,
  type SelfSignedInstallation,
  type SelfSignedReplica,
  tlsSecret,
} from '../cluster/self-signed.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { createUnderLoad, type Load } from './support/load.ts';

/* The server keeps its own certificates on a real API server, with the rights that this takes and no others. */

let plane: ControlPlane;
let webhook: SelfSignedInstallation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await installSelfSigned(plane);
}, 120_000);

afterAll(async () => {
  await webhook?.close();
  await plane?.close();
}, 60_000);

const registration = '/apis/admissionregistration.k8s.io/v1';
const paths = ['mutating', 'validating'].map((kind) => `${registration}/${kind}webhookconfigurations/${webhookName}`);

/** A certificate of a Secret; undefined where that is not there. */
async function certificateIn(path: string): Promise<X509Certificate | undefined> {
  const { code, body } = await plane.api.send('GET', path);
  return code === 200 ? new X509Certificate(Buffer.from(body.data['tls.crt'], 'base64')) : undefined;
}

/** Fingerprint of a certificate that a Secret holds, which must be there. */
const fingerprintIn = async (path: string): Promise<string> => (await certificateIn(path))?.fingerprint256 ?? 'none';

/** What a replica shows to a new connection. */
function servedBy(replica: SelfSignedReplica): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: webhook.address, port: replica.port(), servername: serverName, rejectUnauthorized: false };
    const socket = connect(options, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** Until each serves what the Secret holds, and that is another than before. */
async function untilServed(before = ''): Promise<void> {
  await eventually(
    'every replica serves the certificate of the Secret',
    async () => {
      const wanted = await fingerprintIn(tlsSecret);
      const served = await Promise.all(webhook.replicas.map(servedBy));
      return wanted !== before && served.every((fingerprint) => fingerprint === wanted);
    },
    60_000,
  );
}

/** How many certificates each caBundle holds, one entry a webhook. */
async function bundleSizes(): Promise<readonly number[]> {
  const answers = await Promise.all(paths.map((path) => plane.api.send('GET', path)));
  return answers.flatMap(({ body }) =>
    body.webhooks.map(({ clientConfig }: { clientConfig: { caBundle?: string } }) => {
      const pem = Buffer.from(clientConfig.caBundle ?? '', 'base64').toString();
      return pem.split('-----BEGIN CERTIFICATE-----').length - 1;
    }),
  );
}

const untilBundled = (count: number): Promise<void> =>
  eventually(`every caBundle holds ${count}`, async () => (await bundleSizes()).every((size) => size === count));

/** What fails of the creates that are sent while something happens. */
async function during(work: () => Promise<void>): Promise<Load> {
  let working = true;
  const running = createUnderLoad(plane, 4, () => working);
  try {
    await work();
  } finally {
    working = false;
  }
  const load = await running;
  expect(load.times.done).toBeGreaterThan(20);
  return load;
}

const errors = (): readonly unknown[] =>
  webhook.replicas.flatMap((replica) =>
    replica.log().filter(({ level, message }) => level === 'error' && message !== 'webhook configuration gap'),
  );

describe('an installation without cert-manager and without caBundle', () => {
  it('two replicas that start at the same moment make one CA and one certificate, and the API server calls them', async () => {
    await Promise.all(webhook.replicas.map((replica) => replica.startServer()));
    await eventually('the API server calls them', async () => (await probe(plane)).includes('denied the request'));
    await untilServed();
    const [authority, leaf] = [await certificateIn(caSecret), await certificateIn(tlsSecret)];
    expect(authority !== undefined && leaf?.verify(authority.publicKey)).toBe(true);
    await untilBundled(1);
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
    await untilBundled(1);
    await eventually('the API server calls them', async () => (await probe(plane)).includes('denied the request'));
  });

  it('stays where they are applied again by kubectl', async () => {
    await plane.apply(['apply', '-f', '-'], configurations());
    await plane.apply(['apply', '-f', '-'], configurations());
    expect((await bundleSizes()).every((size) => size === 1)).toBe(true);
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
    expect((await bundleSizes()).every((size) => size === 1)).toBe(true);
    const added = { ...webhooks[0], name: 'added.mutate.osmo-admission' };
    expect(await apply([...webhooks, added])).toBe(200);
    await untilBundled(1);
    // The server has its caBundle in there by now.
    expect(await apply(webhooks)).toBe(200);
    const names = (await plane.api.send('GET', paths[0] ?? '')).body.webhooks.map(({ name }: { name: string }) => name);
    expect(names).toEqual(webhooks.map(({ name }) => name));
  });
});

describe('under load', () => {
  it('the Secret of the certificate is deleted, and made again from the same CA: no create fails', async () => {
    const [authority, leaf] = [await fingerprintIn(caSecret), await fingerprintIn(tlsSecret)];
    const { failed } = await during(async () => {
      expect((await plane.api.send('DELETE', tlsSecret)).code).toBe(200);
      await eventually('it is there', async () => (await certificateIn(tlsSecret)) !== undefined);
      await untilServed(leaf);
    });
    expect(failed).toEqual([]);
    expect(await fingerprintIn(caSecret)).toBe(authority);
    await untilBundled(1);
  });

  it('the CA is replaced: both are trusted before a certificate of the new one is served, and no create fails', async () => {
    const [authority, leaf] = [await fingerprintIn(caSecret), await fingerprintIn(tlsSecret)];
    const { failed } = await during(async () => {
      expect((await plane.api.send('DELETE', caSecret)).code).toBe(200);
      await untilBundled(2);
      expect(await fingerprintIn(tlsSecret)).toBe(leaf);
      await untilServed(leaf);
    });
    expect(failed).toEqual([]);
    const fresh = await certificateIn(caSecret);
    expect(fresh?.fingerprint256).not.toBe(authority);
    expect(fresh !== undefined && (await certificateIn(tlsSecret))?.verify(fresh.publicKey)).toBe(true);
    await untilBundled(2);
  });
});

describe('a restart', () => {
  it('of every replica keeps CA and certificate', async () => {
    const before = [await fingerprintIn(caSecret), await fingerprintIn(tlsSecret)];
    for (const replica of webhook.replicas) await replica.stopServer();
    for (const replica of webhook.replicas) await replica.startServer();
    await untilServed();
    expect([await fingerprintIn(caSecret), await fingerprintIn(tlsSecret)]).toEqual(before);
  });

  it('that is stopped lets go of the Lease: the other keeps caBundle from then on', async () => {
    const [first, second] = webhook.replicas;
    await first?.stopServer();
    await plane.apply(['replace', '-f', '-'], configurations());
    await untilBundled(2);
    await first?.startServer();
    await second?.stopServer();
    await plane.apply(['replace', '-f', '-'], configurations());
    await untilBundled(2);
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
