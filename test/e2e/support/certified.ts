import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { expect } from 'vitest';
import { serverName } from '../../../scripts/server-process.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { webhookName } from '../../cluster/installation.ts';
import { tlsSecret } from '../../cluster/self-signed.ts';
import { eventually } from '../../cluster/wait.ts';
import { type Load, loadDuring } from './load.ts';

/* What Secrets, caBundles and replicas show of the certificates in use, whoever keeps them. */

const registration = '/apis/admissionregistration.k8s.io/v1';

/** Of the two webhook configurations. */
export const configurationPaths = ['mutating', 'validating'].map(
  (kind) => `${registration}/${kind}webhookconfigurations/${webhookName}`,
);

/** Where a replica answers the API server. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What happened while something was done. */
export interface CertifiedLoad extends Load {
  /** New connections to each replica beside the creates, and why the caBundle of that moment did not trust what it showed. */
  readonly handshakes: number;
  readonly distrusted: readonly string[];
}

/** The API server keeps its connections, and a kept one shows no new certificate. */
const handshakeMs = 100;

export interface Certified {
  /** The certificate of a Secret; undefined where that is not there. */
  certificateIn(path: string): Promise<X509Certificate | undefined>;
  fingerprintIn(path: string): Promise<string>;
  /** Fingerprints of what each replica shows to a new connection, or why it shows nothing. */
  served(): Promise<readonly string[]>;
  /** Until each replica serves what the Secret holds, and that is another than before. */
  untilServed(before?: string): Promise<void>;
  /** The caBundles as PEM, one entry a webhook. */
  bundles(): Promise<readonly string[]>;
  /** How many certificates each holds. */
  bundleSizes(): Promise<readonly number[]>;
  untilBundled(count: number): Promise<void>;
  /** Creates pods, dry, and connects to every replica while something happens. */
  during(work: () => Promise<void>, workers?: number): Promise<CertifiedLoad>;
}

/** What a server shows, and why it is not trusted by some authorities; '' where it is. */
interface Shown {
  readonly fingerprint: string;
  readonly fault: string;
}

/** One new connection. @throws Error where there is none. */
function shownBy({ host, port }: Endpoint, ca: string): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, servername: serverName, ca, rejectUnauthorized: false }, () => {
      const fault = socket.authorized ? '' : String(socket.authorizationError);
      resolve({ fingerprint: socket.getPeerX509Certificate()?.fingerprint256 ?? '', fault });
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** @param endpoints of the replicas, asked at every look. */
export function certified(plane: ControlPlane, endpoints: () => readonly Endpoint[]): Certified {
  const certificateIn = async (path: string): Promise<X509Certificate | undefined> => {
    const { code, body } = await plane.api.send('GET', path);
    return code === 200 ? new X509Certificate(Buffer.from(body.data['tls.crt'], 'base64')) : undefined;
  };
  const fingerprintIn = async (path: string): Promise<string> => (await certificateIn(path))?.fingerprint256 ?? 'none';
  const served = (): Promise<readonly string[]> =>
    Promise.all(
      endpoints().map((endpoint) =>
        shownBy(endpoint, '').then(
          ({ fingerprint }) => fingerprint,
          (error: unknown) => String(error),
        ),
      ),
    );
  const bundles = async (): Promise<readonly string[]> => {
    const answers = await Promise.all(configurationPaths.map((path) => plane.api.send('GET', path)));
    return answers.flatMap(({ body }) =>
      (body.webhooks ?? []).map(({ clientConfig }: { clientConfig: { caBundle?: string } }) =>
        Buffer.from(clientConfig.caBundle ?? '', 'base64').toString(),
      ),
    );
  };
  const bundleSizes = async (): Promise<readonly number[]> =>
    (await bundles()).map((pem) => pem.split('-----BEGIN CERTIFICATE-----').length - 1);
  const connectWhile = async (more: () => boolean): Promise<Pick<CertifiedLoad, 'handshakes' | 'distrusted'>> => {
    const distrusted: string[] = [];
    let handshakes = 0;
    while (more()) {
      const [bundle = ''] = await bundles();
      for (const endpoint of endpoints()) {
        // One that starts or ends has no port: the Service leads elsewhere then.
        const shown = await shownBy(endpoint, bundle).catch(() => undefined);
        if (shown === undefined) continue;
        handshakes += 1;
        if (shown.fault !== '') distrusted.push(shown.fault);
      }
      await new Promise((resolve) => setTimeout(resolve, handshakeMs));
    }
    return { handshakes, distrusted };
  };
  return {
    certificateIn,
    fingerprintIn,
    served,
    bundles,
    bundleSizes,
    untilServed: (before = '') =>
      eventually(
        'every replica serves the certificate of the Secret',
        async () => {
          const wanted = await fingerprintIn(tlsSecret);
          return wanted !== before && (await served()).every((fingerprint) => fingerprint === wanted);
        },
        120_000,
      ),
    untilBundled: (count) =>
      eventually(`every caBundle holds ${count}`, async () => (await bundleSizes()).every((size) => size === count)),
    async during(work, workers = 4) {
      let working = true;
      const [load, connections] = await Promise.all([
        loadDuring(plane, workers, () =>
          work().finally(() => {
            working = false;
          }),
        ),
        connectWhile(() => working),
      ]);
      expect(load.times.done).toBeGreaterThan(20);
      return { ...load, ...connections };
    },
  };
}
