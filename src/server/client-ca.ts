import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Log, watchFiles } from '../config/watch-files.ts';
import { certificateBlocks } from '../manifests/ca-bundle.ts';
import { CertificateError } from './certificates.ts';

/** The authorities whose client certificates are believed. */
export interface Authorities {
  /** PEM, one certificate each. */
  readonly pems: readonly string[];
  /** Milliseconds of the Unix epoch: when the last of them has ended, no client certificate is believed. */
  readonly expiresAtMs: number;
}

export interface ClientCaOptions {
  readonly file: string;
  readonly pollMs: number;
  readonly log: Log;
  readonly onReload: (outcome: 'success' | 'failure') => void;
  readonly events?: boolean;
}

export interface ClientCa {
  current(): Authorities;
  /** Why the file on disk is not what is used; empty while it is. */
  error(): string;
  /** Calls back with each new set. A listener that throws keeps the old one. */
  onChange(listener: (authorities: Authorities) => void): void;
  close(): void;
}

/**
 * Loads the file of `--client-ca-file` and keeps it: reads it again when it changes. One that cannot be used leaves the old authorities in place.
 * @throws CertificateError if the first load fails.
 */
export async function startClientCa({
  file,
  pollMs,
  log,
  onReload,
  events = true,
}: ClientCaOptions): Promise<ClientCa> {
  const first = await readFile(file).catch((error: unknown) => {
    throw new CertificateError(`${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`);
  });
  let authorities = parseAuthorities(first, file);
  let inUse: Buffer = first;
  let error = '';
  const listeners: ((fresh: Authorities) => void)[] = [];
  onReload('success');
  const watcher = watchFiles({
    paths: [file],
    pollMs,
    events,
    log,
    onChange: (contents) => {
      try {
        const bytes = contents.get(file);
        if (bytes === undefined) throw new CertificateError(`${file}: cannot be read`);
        if (bytes.equals(inUse)) {
          error = '';
          return;
        }
        const fresh = parseAuthorities(bytes, file);
        for (const listener of listeners) listener(fresh);
        authorities = fresh;
        inUse = bytes;
        error = '';
        log('info', 'client authorities reloaded', { file, authorities: fresh.pems.length });
        onReload('success');
      } catch (failure) {
        error = failure instanceof Error ? failure.message : String(failure);
        log('error', 'client authorities not reloaded; the old ones are used', { error });
        onReload('failure');
      }
    },
  });
  return {
    current: () => authorities,
    error: () => error,
    onChange: (listener) => void listeners.push(listener),
    close: () => watcher.close(),
  };
}

/**
 * Reads PEM authorities. Each must be a CA, and its chain to a self-signed one whole: TLS here ends a chain at a root only, so that an
 * intermediate alone would verify nobody. @throws CertificateError naming the file and what is wrong.
 */
export function parseAuthorities(pem: Buffer, file: string): Authorities {
  const text = pem.toString('latin1');
  const pems = certificateBlocks(text);
  if (pems.length === 0) throw new CertificateError(`${file}: holds no PEM certificate`);
  if (text.split('-----BEGIN CERTIFICATE-----').length - 1 !== pems.length) {
    throw new CertificateError(`${file}: ends within a certificate (it may be being written)`);
  }
  const certificates = pems.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new CertificateError(`${file}: certificate ${index + 1} cannot be read`);
    }
  });
  certificates.forEach((certificate, index) => {
    if (!certificate.ca) throw new CertificateError(`${file}: certificate ${index + 1} is not one of a CA`);
    if (!certificates.some((issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))) {
      throw new CertificateError(
        `${file}: certificate ${index + 1} is of an intermediate CA whose issuer is not in the file: add it, up to the root`,
      );
    }
  });
  return { pems, expiresAtMs: Math.max(...certificates.map(({ validToDate }) => validToDate.getTime())) };
}
