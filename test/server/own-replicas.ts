import { X509Certificate } from 'node:crypto';
import { createApiClient } from '../../src/cluster/api-client.ts';
import { certificatesOf } from '../../src/manifests/ca-bundle.ts';
import type { Certificates, KeyPair } from '../../src/server/certificates.ts';
import type { Periods } from '../../src/server/own-certificates/duties.ts';
import { type OwnCertificates, startOwnCertificates } from '../../src/server/own-certificates/own-certificates.ts';
import { FakeApiServer } from '../nodes/fake-api-server.ts';
import { type Clock, createPace } from '../support/pace.ts';

/* Replicas that keep their own certificates, at an API server of Secrets, a Lease and webhook configurations, with a time that passes only where a test says so. */

export const secrets = '/api/v1/namespaces/osmo-admission/secrets';
export const caPath = `${secrets}/osmo-admission-webhook-ca`;
export const tlsPath = `${secrets}/osmo-admission-webhook-tls`;
export const leasePath =
  '/apis/coordination.k8s.io/v1/namespaces/osmo-admission/leases/osmo-admission-webhook-certificates';
const registration = '/apis/admissionregistration.k8s.io/v1';
export const mutating = `${registration}/mutatingwebhookconfigurations/osmo-admission-webhook`;
export const validating = `${registration}/validatingwebhookconfigurations/osmo-admission-webhook`;

export const dayMs = 24 * 3_600_000;
export const periods: Periods = {
  caLifeMs: 3_650 * dayMs,
  caRenewBeforeMs: 365 * dayMs,
  leafLifeMs: 90 * dayMs,
  leafRenewBeforeMs: 30 * dayMs,
  backdateMs: 3_600_000,
  settleMs: 10_000,
  keepFormerMs: dayMs,
};

export interface OwnReplica {
  readonly own: OwnCertificates;
  /** Once there is a first certificate. */
  certificates(): Certificates | undefined;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly reloads: readonly string[];
  sleptMs(): number;
  /** One look; resolves when it is over. */
  look(): Promise<void>;
}

export class OwnWorld {
  readonly server = new FakeApiServer();
  readonly clock: Clock = { nowMs: Date.parse('2026-11-25T12:00:00Z') };
  private url = '';
  private readonly ends: (() => Promise<void>)[] = [];

  async start(): Promise<void> {
    this.url = await this.server.start();
  }

  async close(): Promise<void> {
    for (const end of this.ends) await end();
    await this.server.stop();
  }

  /** Starts a replica; resolves when its first look is over. */
  async replica(identity: string): Promise<OwnReplica> {
    const pace = createPace(this.clock);
    const lines: Record<string, unknown>[] = [];
    const reloads: string[] = [];
    let certificates: Certificates | undefined;
    const client = createApiClient(
      { server: this.url, ca: undefined, clientCert: undefined, clientKey: undefined, token: async () => undefined },
      { idleTimeoutMs: 1_000 },
    );
    const own = startOwnCertificates({
      ...{ client, identity, periods },
      namespace: 'osmo-admission',
      log: (level, message, fields) => void lines.push({ level, message, ...fields }),
      onReload: (outcome, _pair, error) => void reloads.push(`${outcome} ${error}`.trim()),
      now: pace.now,
      sleep: pace.sleep,
    });
    void own.first().then((first) => {
      certificates = first;
    });
    await pace.asleep();
    this.ends.push(async () => {
      await own.stop();
      await client.close();
    });
    return { own, certificates: () => certificates, lines, reloads, sleptMs: pace.sleptMs, look: pace.wake };
  }

  pass(ms: number): void {
    this.clock.nowMs += ms;
  }

  /** Puts the two webhook configurations there, as a manifest without caBundle does. */
  apply(names: readonly string[] = ['pods', 'nodes']): void {
    for (const path of [mutating, validating]) {
      const webhooks = names.map((name) => ({
        name: `${name}.osmo-admission`,
        clientConfig: { service: { name: 'x' } },
      }));
      this.server.leases.set(path, this.server.versioned({ metadata: { name: 'osmo-admission-webhook' }, webhooks }));
    }
  }

  /** A field of a Secret, decoded; empty where it is not there. */
  secret(path: string, key: string): string {
    const data: Readonly<Record<string, string>> = Object(this.server.leases.get(path)?.data);
    return Buffer.from(data[key] ?? '', 'base64').toString();
  }

  /** Somebody edits fields of a Secret by hand. */
  edit(path: string, data: Readonly<Record<string, string>>): void {
    const seen = this.server.leases.get(path);
    if (seen === undefined) throw new Error(`there is no ${path}`);
    const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
    const edited = { ...seen, data: { ...Object(seen.data), ...Object.fromEntries(encoded) } };
    this.server.leases.set(path, this.server.versioned(edited));
  }

  /** Fingerprints in the caBundle of every webhook, which must all be the same. */
  bundle(): readonly string[] {
    const all = [mutating, validating].flatMap((path) => {
      const webhooks: readonly { clientConfig: { caBundle?: string } }[] =
        Object(this.server.leases.get(path)).webhooks ?? [];
      return webhooks.map(({ clientConfig }) => clientConfig.caBundle ?? '');
    });
    if (new Set(all).size > 1) throw new Error('the caBundles differ');
    return fingerprints(Buffer.from(all[0] ?? '', 'base64').toString());
  }

  /** Writes so far, as `METHOD last-part-of-the-path`, without those of the Lease. */
  writes(): readonly string[] {
    return this.server.writes
      .filter(({ path }) => !path.includes('/leases'))
      .map(({ method, path }) => `${method} ${path.split('/').slice(-2).join('/')}`);
  }
}

export function fingerprints(pem: string): readonly string[] {
  return certificatesOf(pem).map(({ fingerprint256 }) => fingerprint256);
}

export const leafOf = ({ cert }: KeyPair): X509Certificate => new X509Certificate(cert);
