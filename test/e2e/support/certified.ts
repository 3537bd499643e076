import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { expect } from 'vitest';
import { serverName } from '../../../scripts/server-process.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { webhookName } from '../../cluster/installation.ts';
import { type SelfSignedInstallation, type SelfSignedReplica, tlsSecret } from '../../cluster/self-signed.ts';
import { eventually } from '../../cluster/wait.ts';
import { type Load, loadDuring } from './load.ts';

/* What Secrets, caBundles and replicas show of the certificates that the server keeps. */

const registration = '/apis/admissionregistration.k8s.io/v1';

/** Of the two webhook configurations. */
export const configurationPaths = ['mutating', 'validating'].map(
  (kind) => `${registration}/${kind}webhookconfigurations/${webhookName}`,
);

export interface Certified {
  /** The certificate of a Secret; undefined where that is not there. */
  certificateIn(path: string): Promise<X509Certificate | undefined>;
  fingerprintIn(path: string): Promise<string>;
  /** Until each replica serves what the Secret holds, and that is another than before. */
  untilServed(before?: string): Promise<void>;
  /** How many certificates each caBundle holds, one entry a webhook. */
  bundleSizes(): Promise<readonly number[]>;
  untilBundled(count: number): Promise<void>;
  /** Creates pods, dry, while something happens. */
  during(work: () => Promise<void>, workers?: number): Promise<Load>;
}

export function certified(plane: ControlPlane, webhook: SelfSignedInstallation): Certified {
  const certificateIn = async (path: string): Promise<X509Certificate | undefined> => {
    const { code, body } = await plane.api.send('GET', path);
    return code === 200 ? new X509Certificate(Buffer.from(body.data['tls.crt'], 'base64')) : undefined;
  };
  const fingerprintIn = async (path: string): Promise<string> => (await certificateIn(path))?.fingerprint256 ?? 'none';
  /** What a replica shows to a new connection. */
  const servedBy = (replica: SelfSignedReplica): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = {
        host: webhook.address,
        port: replica.port(),
        servername: serverName,
        rejectUnauthorized: false,
      };
      const socket = connect(options, () => {
        resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const bundleSizes = async (): Promise<readonly number[]> => {
    const answers = await Promise.all(configurationPaths.map((path) => plane.api.send('GET', path)));
    return answers.flatMap(({ body }) =>
      body.webhooks.map(({ clientConfig }: { clientConfig: { caBundle?: string } }) => {
        const pem = Buffer.from(clientConfig.caBundle ?? '', 'base64').toString();
        return pem.split('-----BEGIN CERTIFICATE-----').length - 1;
      }),
    );
  };
  return {
    certificateIn,
    fingerprintIn,
    bundleSizes,
    untilServed: (before = '') =>
      eventually(
        'every replica serves the certificate of the Secret',
        async () => {
          const wanted = await fingerprintIn(tlsSecret);
          const served = await Promise.all(webhook.replicas.map(servedBy));
          return wanted !== before && served.every((fingerprint) => fingerprint === wanted);
        },
        60_000,
      ),
    untilBundled: (count) =>
      eventually(`every caBundle holds ${count}`, async () => (await bundleSizes()).every((size) => size === count)),
    async during(work, workers = 4) {
      const load = await loadDuring(plane, workers, work);
      expect(load.times.done).toBeGreaterThan(20);
      return load;
    },
  };
}
