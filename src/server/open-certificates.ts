import { type ConnectOptions, connect } from '../cluster/connect.ts';
import { type CertificateOptions, type Certificates, startCertificates } from './certificates.ts';
import { type OwnCertificatesOptions, startOwnCertificates } from './own-certificates/own-certificates.ts';
import { type WaitOptions, waitForCertificates } from './own-certificates/wait.ts';

/** Certificates, and what ends whoever keeps them. */
export interface OpenedCertificates {
  readonly certificates: Certificates;
  stop(): Promise<void>;
}

interface OpenOptions
  extends ConnectOptions,
    Omit<WaitOptions, 'own'>,
    Omit<OwnCertificatesOptions, 'client'>,
    Pick<CertificateOptions, 'onReload'> {
  readonly tls: Pick<CertificateOptions, 'certFile' | 'keyFile'> | 'self-signed';
  readonly reloadIntervalMs: number;
}

/** The certificate files, kept; or certificates of our own, once there is one: undefined where a signal came first. @throws Error */
export async function openCertificates(options: OpenOptions): Promise<OpenedCertificates | undefined> {
  const { tls, reloadIntervalMs, log, onReload } = options;
  if (tls !== 'self-signed') {
    const certificates = await startCertificates({ ...tls, pollMs: reloadIntervalMs, log, onReload });
    return { certificates, stop: async () => certificates.close() };
  }
  // Not the client of the node watch, which comes later and ends sooner.
  const client = await connect(options);
  const own = startOwnCertificates({ ...options, client });
  const stop = async (): Promise<void> => {
    await own.stop();
    await client.close();
  };
  let certificates: Certificates | undefined;
  try {
    certificates = await waitForCertificates({ ...options, own });
  } finally {
    if (certificates === undefined) await stop();
  }
  return certificates === undefined ? undefined : { certificates, stop };
}
