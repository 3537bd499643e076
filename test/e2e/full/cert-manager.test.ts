import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type CertManager, renewCertificate, startCertManager } from '../../cluster/cert-manager.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { namespace, root, startCluster, webhookName } from '../../cluster/installation.ts';
import { type MountedSecret, mountSecret } from '../../cluster/mounted-files.ts';
import { eventually } from '../../cluster/wait.ts';

/* What cert-manager itself does with our manifests: its own controllers and CA injector. */

let plane: ControlPlane;
let certManager: CertManager;
let mounted: MountedSecret | undefined;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  certManager = await startCertManager(plane, inject('certManager'));
  await plane.apply(['apply', '-f', join(root, 'webhook-config')]);
}, 180_000);

afterAll(() => {
  mounted?.close();
  return plane?.close();
}, 60_000);

const leaf = { namespace, name: webhookName };
const ca = { namespace, name: `${webhookName}-ca` };

type SecretData = Readonly<Record<'tls.crt' | 'tls.key' | 'ca.crt', string>>;

/** What a Secret holds, decoded; undefined where it is not there. */
async function secret(name: string): Promise<SecretData | undefined> {
  const { code, body } = await plane.api.send('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`);
  if (code !== 200) return undefined;
  const text = (key: string): string => Buffer.from(body.data[key] ?? '', 'base64').toString();
  return { 'tls.crt': text('tls.crt'), 'tls.key': text('tls.key'), 'ca.crt': text('ca.crt') };
}

async function served(): Promise<SecretData> {
  const data = await secret(`${webhookName}-tls`);
  if (data === undefined) throw new Error('there is no Secret with a serving certificate');
  return data;
}

/** The CA bundles of all webhooks of both configurations. */
async function caBundles(): Promise<readonly string[]> {
  const bundles: string[] = [];
  for (const kind of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']) {
    const { body } = await plane.api.send('GET', `/apis/admissionregistration.k8s.io/v1/${kind}/${webhookName}`);
    for (const { clientConfig } of body.webhooks)
      bundles.push(Buffer.from(clientConfig.caBundle ?? '', 'base64').toString());
  }
  return bundles;
}

const injected = async (pem: string): Promise<boolean> => (await caBundles()).every((bundle) => bundle === pem);

/** Is a certificate issued by one of a bundle? */
function trusts(bundle: string, certPem: string): boolean {
  const certificate = new X509Certificate(certPem);
  return bundle.split(/(?=-----BEGIN CERTIFICATE-----)/).some((pem) => {
    const authority = new X509Certificate(pem);
    return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  });
}

describe('webhook-config/, as it is', () => {
  it('makes cert-manager issue: Issuers and Certificates become Ready', async () => {
    await plane.apply([
      'wait',
      '-n',
      namespace,
      '--timeout=60s',
      '--for=condition=Ready',
      '--all',
      'issuers,certificates',
    ]);
    const { stdout } = await plane.apply(['get', '-n', namespace, '-o', 'name', 'issuers,certificates']);
    expect(stdout.trim().split('\n')).toHaveLength(4);
  });

  it('the Secret holds a certificate for the Service, its key and its CA', async () => {
    const data = await served();
    const certificate = new X509Certificate(data['tls.crt']);
    expect(certificate.checkHost(`${webhookName}.${namespace}.svc`)).toBeDefined();
    expect(certificate.keyUsage).toContain('1.3.6.1.5.5.7.3.1');
    expect(data['tls.key']).toContain('PRIVATE KEY');
    expect(trusts(data['ca.crt'], data['tls.crt'])).toBe(true);
    expect(data['ca.crt']).toBe((await secret(`${webhookName}-ca`))?.['tls.crt']);
  });

  it('caBundle is injected into every webhook of both configurations', async () => {
    const data = await served();
    await eventually('caBundle is that CA', () => injected(data['ca.crt']));
    expect((await caBundles()).length).toBeGreaterThan(2);
  });
});

describe('a renewal', () => {
  it('makes another certificate of the same CA for the same key, with which notes are signed; caBundle stays', async () => {
    const before = await served();
    await renewCertificate(plane, leaf);
    const after = await served();
    expect(after['tls.crt']).not.toBe(before['tls.crt']);
    expect(after['tls.key']).toBe(before['tls.key']);
    expect(after['ca.crt']).toBe(before['ca.crt']);
    expect(trusts(before['ca.crt'], after['tls.crt'])).toBe(true);
    expect(await injected(before['ca.crt'])).toBe(true);
  });

  it('comes by itself when the Secret is deleted, and then with another key', async () => {
    const before = await served();
    await plane.apply(['delete', 'secret', '-n', namespace, `${webhookName}-tls`]);
    await eventually('the Secret is there again', async () => (await secret(`${webhookName}-tls`)) !== undefined);
    const after = await served();
    expect(after['tls.crt']).not.toBe(before['tls.crt']);
    expect(after['tls.key']).not.toBe(before['tls.key']);
    expect(after['ca.crt']).toBe(before['ca.crt']);
    expect(await injected(before['ca.crt'])).toBe(true);
  });

  it('of the CA leaves trusted what the server still serves: its key stays, the injector adds the new CA, and keeps the one before', async () => {
    const before = await served();
    await renewCertificate(plane, ca);
    const renewed = (await secret(`${webhookName}-ca`))?.['tls.crt'] ?? '';
    expect(renewed).not.toBe(before['ca.crt']);
    await renewCertificate(plane, leaf);
    const after = await served();
    expect(after['ca.crt']).toBe(renewed);
    await eventually('caBundle has the new CA', async () =>
      (await caBundles()).every((bundle) => trusts(bundle, after['tls.crt'])),
    );
    // Also to an injector that keeps none.
    expect(trusts(renewed, before['tls.crt'])).toBe(true);
    for (const bundle of await caBundles()) expect(bundle).toContain(before['ca.crt'].trim());
    for (const bundle of await caBundles()) expect(trusts(bundle, before['tls.crt'])).toBe(true);
  });
});

describe('the Secret as a volume', () => {
  it('is in files, and they change together, late', async () => {
    const directory = join(plane.folder, 'tls');
    const files = (): SecretData => {
      const text = (name: string): string => readFileSync(join(directory, name), 'utf8');
      return { 'tls.crt': text('tls.crt'), 'tls.key': text('tls.key'), 'ca.crt': text('ca.crt') };
    };
    mounted = mountSecret(plane, { namespace, name: `${webhookName}-tls`, directory, delayMs: 0 });
    await eventually('it is mounted', () => existsSync(join(directory, 'tls.crt')));
    const before = await served();
    expect(files()).toEqual(before);
    mounted.setDelay(Number.POSITIVE_INFINITY);
    await renewCertificate(plane, leaf);
    const after = await served();
    await eventually('the change is seen', () => mounted?.isLate() ?? false);
    expect(files()).toEqual(before);
    mounted.setDelay(0);
    await eventually('the files have changed', () => files()['tls.crt'] === after['tls.crt']);
    expect(files()).toEqual(after);
  });
});

describe('cert-manager', () => {
  it('ends in order when it is asked to, and renews again once it is back', async () => {
    await certManager.stop();
    const before = await served();
    await certManager.start();
    await renewCertificate(plane, leaf);
    expect((await served())['tls.crt']).not.toBe(before['tls.crt']);
  });
});
