import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serverName } from '../scripts/server-process.ts';
import { createSelfSigned } from '../src/server/self-signed.ts';

/** A folder of its own for a benchmark's files, with a certificate for its servers. */
export interface Scratch {
  readonly directory: string;
  /** Paths of the certificate and its key; PEM of the authority. */
  readonly cert: string;
  readonly key: string;
  readonly caPem: string;
  /** Writes a file. @returns its path. */
  put(name: string, text: string): string;
  remove(): void;
}

/** @param parent where the folder is made. */
export function makeScratch(parent: string): Scratch {
  const directory = mkdtempSync(join(parent, 'bench-'));
  const put = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const { certPem, keyPem, caPem } = createSelfSigned({
    dnsNames: [serverName],
    ipAddresses: ['127.0.0.1'],
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 24 * 60 * 60_000),
  });
  return {
    directory,
    cert: put('tls.crt', certPem),
    key: put('tls.key', keyPem),
    caPem,
    put,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
