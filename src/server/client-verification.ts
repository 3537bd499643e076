import type { Log } from '../config/watch-files.ts';
import { type Callers, createCallers } from './caller.ts';
import { type ClientCa, startClientCa } from './client-ca.ts';
import type { Metrics } from './metrics.ts';

export interface ClientVerificationSettings {
  /** Undefined: no client certificate is asked for. */
  readonly client:
    | { readonly caFile: string; readonly allowedNames: ReadonlySet<string>; readonly required: boolean }
    | undefined;
  readonly reloadIntervalMs: number;
}

/** The authorities of client certificates, and who is verified by them. */
export interface ClientVerification {
  readonly ca: ClientCa;
  readonly callers: Callers;
}

/** Reads the authorities, with what goes wrong counted. @throws CertificateError if their file cannot be used. */
export async function openClientVerification(
  { client, reloadIntervalMs }: ClientVerificationSettings,
  metrics: Pick<Metrics, 'clientCaReload' | 'unverified'>,
  { log, now }: { readonly log: Log; readonly now: () => number },
): Promise<ClientVerification | undefined> {
  if (client === undefined) return undefined;
  const ca = await startClientCa({
    ...{ file: client.caFile, pollMs: reloadIntervalMs, log },
    onReload: metrics.clientCaReload,
  });
  return { ca, callers: createCallers({ ...client, onUnverified: metrics.unverified, log, now }) };
}
