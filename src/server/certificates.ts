import { createPrivateKey, hash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { type Log, watchFiles } from '../config/watch-files.ts';

/** A serving certificate with its key, as files hold them, checked to belong together. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Seconds of the Unix epoch. */
  readonly expiresAt: number;
  /** Hex SHA-256 of the certificate's DER. */
  readonly fingerprint: string;
}

/** A certificate or key that cannot be used; the message names the file and the fix. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
}

export interface CertificateOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly pollMs: number;
  readonly log: Log;
  /** Called with each new pair, and with each failure to read one, which leaves the pair as it was. */
  readonly onReload: (outcome: 'success' | 'failure', pair: KeyPair, error: string) => void;
  readonly events?: boolean;
  /** Milliseconds of the Unix epoch. */
  readonly now?: () => number;
}

export interface Certificates {
  current(): KeyPair;
  /** Why the files on disk are not what is served; empty while they are. */
  error(): string;
  /** Calls back with each new pair. */
  onChange(listener: (pair: KeyPair) => void): void;
  close(): void;
}

/**
 * Loads a serving certificate and keeps it: reads the files again when they change. A pair that does not belong together (it is being
 * written) or cannot be read leaves the old one in place.
 * @throws CertificateError if the first load fails.
 */
export async function startCertificates(options: CertificateOptions): Promise<Certificates> {
  const { certFile, keyFile, pollMs, log, onReload, events = true, now = Date.now } = options;
  let pair = parsePair(await readPem(certFile), await readPem(keyFile), options);
  let error = '';
  const warnIfExpired = (): void => {
    if (pair.expiresAt * 1000 > now()) return;
    // Served all the same: the client refuses it and says why, which helps more than a closed port.
    log('warn', 'the certificate has expired: replace it', { certFile, expired: expiryOf(pair) });
  };
  warnIfExpired();
  const listeners: ((fresh: KeyPair) => void)[] = [];
  onReload('success', pair, '');
  const watcher = watchFiles({
    paths: [certFile, keyFile],
    pollMs,
    events,
    log,
    onChange: (contents) => {
      const cert = contents.get(certFile);
      const key = contents.get(keyFile);
      try {
        if (cert === undefined) throw new CertificateError(`${certFile}: cannot be read`);
        if (key === undefined) throw new CertificateError(`${keyFile}: cannot be read`);
        const recovered = error !== '';
        if (cert.equals(pair.cert) && key.equals(pair.key)) {
          error = '';
          if (recovered) log('info', 'the certificate files are as they were', { certFile });
          return;
        }
        const fresh = parsePair(cert, key, options);
        // A pair that the TLS library refuses must not replace one that it serves.
        for (const listener of listeners) listener(fresh);
        pair = fresh;
        error = '';
        log('info', 'certificate reloaded', { certFile, expires: expiryOf(fresh) });
        warnIfExpired();
        onReload('success', pair, '');
      } catch (failure) {
        error = failure instanceof Error ? failure.message : String(failure);
        log('error', 'certificate not reloaded; the old one is served', { error });
        onReload('failure', pair, error);
      }
    },
  });
  return {
    current: () => pair,
    error: () => error,
    onChange: (listener) => void listeners.push(listener),
    close: () => watcher.close(),
  };
}

function expiryOf({ expiresAt }: KeyPair): string {
  return new Date(expiresAt * 1000).toISOString();
}

async function readPem(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new CertificateError(`${path}: cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** Checks that certificate and key parse and belong together. */
export function parsePair(
  cert: Buffer,
  key: Buffer,
  { certFile, keyFile }: { readonly certFile: string; readonly keyFile: string },
): KeyPair {
  const certificate = parse(() => new X509Certificate(cert), certFile, 'holds no PEM certificate');
  const privateKey = parse(() => createPrivateKey(key), keyFile, 'holds no unencrypted PEM private key');
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new CertificateError(
      `${keyFile}: is not the key of ${certFile} (they may be being written): give the two files of one pair`,
    );
  }
  // TLS has demands of its own, on key sizes and digests.
  parse(
    () => createSecureContext({ cert, key }),
    certFile,
    'is refused by the TLS library: use ECDSA P-256 or RSA 2048',
  );
  return {
    cert,
    key,
    expiresAt: Math.floor(certificate.validToDate.getTime() / 1000),
    fingerprint: hash('sha256', certificate.raw),
  };
}

function parse<T>(read: () => T, file: string, fault: string): T {
  try {
    return read();
  } catch {
    // The library's message may quote the file, and the file may hold a key.
    throw new CertificateError(`${file}: ${fault}`);
  }
}
