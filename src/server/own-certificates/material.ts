import { createPrivateKey, X509Certificate } from 'node:crypto';
import { certificatesOf, isIssuedBy } from '../../manifests/ca-bundle.ts';
import { caSecretName, tlsSecretName } from '../../manifests/objects.ts';
import { field, isObject, type JsonObject, readObject, readString } from '../../policy/model/read.ts';
import { type KeyPair, parsePair } from '../certificates.ts';
import type { Authority } from '../self-signed.ts';

/*
 * What the two Secrets hold, both in the layout of kubernetes.io/tls, which cert-manager writes too: of the CA its certificate, its key and as
 * ca.crt every CA that is trusted; of the serving certificate the chain, its key and the CAs that were trusted when it was issued.
 */

/** What was found under the name of a Secret. */
export type Found<T> =
  | { readonly state: 'absent' }
  /** There and of no use. @param trusted certificates that it holds all the same. */
  | {
      readonly state: 'broken';
      readonly why: string;
      readonly object: JsonObject;
      readonly trusted: readonly X509Certificate[];
    }
  | {
      readonly state: 'usable';
      readonly object: JsonObject;
      readonly value: T;
      readonly certificate: X509Certificate;
      readonly trusted: readonly X509Certificate[];
    };

export function readAuthority(object: JsonObject | undefined): Found<Authority> {
  return read(object, caSecretName, (cert, key, certificate) => {
    if (!certificate.ca) throw new Error('tls.crt: is no CA');
    if (createPrivateKey(key).asymmetricKeyType !== 'ec') throw new Error('tls.key: is no EC key, such as ECDSA P-256');
    return { certPem: cert.toString(), keyPem: key.toString() };
  });
}

export function readServing(object: JsonObject | undefined): Found<KeyPair> {
  return read(object, tlsSecretName, (cert, key) => parsePair(cert, key, inSecret));
}

const inSecret = { certFile: 'tls.crt', keyFile: 'tls.key' };

function read<T>(
  object: JsonObject | undefined,
  name: string,
  make: (cert: Buffer, key: Buffer, certificate: X509Certificate) => T,
): Found<T> {
  if (object === undefined) return { state: 'absent' };
  let trusted: readonly X509Certificate[] = [];
  try {
    const data = readObject(field(object, 'data'), 'data');
    const bytes = (key: string): Buffer => Buffer.from(readString(field(data, key), `data[${key}]`) ?? '', 'base64');
    trusted = certificatesOf(bytes('ca.crt').toString('latin1'));
    const [cert, key] = [bytes('tls.crt'), bytes('tls.key')];
    // Says which of the two is wrong, and never what is in them.
    parsePair(cert, key, inSecret);
    const certificate = new X509Certificate(cert);
    return { state: 'usable', object, value: make(cert, key, certificate), certificate, trusted };
  } catch (error) {
    return {
      state: 'broken',
      why: `Secret ${name}: ${error instanceof Error ? error.message : String(error)}`,
      object,
      trusted,
    };
  }
}

/** The caBundle of each webhook of a configuration as PEM, by the webhook's place; empty where there is none. */
export function bundlesOf(
  configuration: JsonObject,
): readonly { readonly index: number; readonly name: string; readonly bundle: string }[] {
  const webhooks = field(configuration, 'webhooks');
  return (Array.isArray(webhooks) ? webhooks : []).filter(isObject).map((webhook, index) => {
    const client = readObject(field(webhook, 'clientConfig'), 'clientConfig');
    return {
      index,
      name: readString(field(webhook, 'name'), 'name') ?? '',
      bundle: readString(field(client, 'caBundle'), 'caBundle') ?? '',
    };
  });
}

/** Each certificate once, in order. */
export function distinct(certificates: readonly X509Certificate[]): readonly X509Certificate[] {
  return [...new Map(certificates.map((certificate) => [certificate.fingerprint256, certificate])).values()];
}

export function toPem(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join('');
}

export function issuerOf(certificate: X509Certificate, among: readonly X509Certificate[]): X509Certificate | undefined {
  return among.find((authority) => isIssuedBy(certificate, authority));
}
