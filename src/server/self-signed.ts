import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { bitString, boolean, context, integer, octetString, oid, sequence, set, time, utf8String } from './der.ts';

export interface SelfSignedOptions {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** What the leaf is for; left out, `serverAuth`. */
  readonly usage?: 'serverAuth' | 'clientAuth';
}

export interface SelfSigned {
  /** The leaf: what a server serves, or a client shows. */
  readonly certPem: string;
  readonly keyPem: string;
  /** The CA that signed it: what a webhook configuration's caBundle holds. */
  readonly caPem: string;
}

/**
 * Makes a CA and a serving certificate of it, ECDSA P-256: handshakes are part of what a burst of pods costs, and P-256 signs some
 * forty times faster than RSA 2048. The CA's key is thrown away. For demo and tests: each call draws new keys.
 */
export function createSelfSigned({
  dnsNames,
  ipAddresses,
  notBefore,
  notAfter,
  usage = 'serverAuth',
}: SelfSignedOptions): SelfSigned {
  const ca = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const caName = commonName('osmo-admission self-made CA');
  const caId = keyId(ca.publicKey);
  const validity = sequence(time(notBefore), time(notAfter));
  const caDer = certificate({
    issuer: caName,
    subject: caName,
    validity,
    publicKey: ca.publicKey,
    signer: ca.privateKey,
    extensions: [
      extension(oids.basicConstraints, true, sequence(boolean(true), integer(Buffer.from([0])))),
      extension(oids.keyUsage, true, keyUsage(keyUsageBits.keyCertSign)),
      extension(oids.subjectKeyIdentifier, false, octetString(caId)),
    ],
  });
  const leafDer = certificate({
    issuer: caName,
    subject: commonName((dnsNames[0] ?? ipAddresses[0] ?? 'webhook').slice(0, maxCommonNameLength)),
    validity,
    publicKey: leaf.publicKey,
    signer: ca.privateKey,
    extensions: [
      extension(oids.basicConstraints, true, sequence()),
      extension(oids.keyUsage, true, keyUsage(keyUsageBits.digitalSignature)),
      extension(oids.extendedKeyUsage, false, sequence(oid(oids[usage]))),
      extension(oids.subjectAltName, false, sequence(...dnsNames.map(dnsName), ...ipAddresses.map(ipName))),
      extension(oids.subjectKeyIdentifier, false, octetString(keyId(leaf.publicKey))),
      extension(oids.authorityKeyIdentifier, false, sequence(context(0, caId, false))),
    ],
  });
  return {
    certPem: pem(leafDer),
    keyPem: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    caPem: pem(caDer),
  };
}

/** RFC 5280, upper bound of a common name. */
const maxCommonNameLength = 64;

const oids = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  subjectAltName: '2.5.29.17',
  subjectKeyIdentifier: '2.5.29.14',
  authorityKeyIdentifier: '2.5.29.35',
};

/** Bit numbers of KeyUsage (RFC 5280, 4.2.1.3). */
const keyUsageBits = { digitalSignature: 0, keyCertSign: 5 };

interface Fields {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly validity: Buffer;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280, 4.1: a version 3 certificate. */
function certificate({ issuer, subject, validity, publicKey, signer, extensions }: Fields): Buffer {
  const algorithm = sequence(oid(oids.ecdsaWithSha256));
  const serial = randomBytes(16);
  const toBeSigned = sequence(
    context(0, integer(Buffer.from([2])), true),
    integer(serial),
    algorithm,
    issuer,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    context(3, sequence(...extensions), true),
  );
  return sequence(toBeSigned, algorithm, bitString(sign('sha256', toBeSigned, signer)));
}

function commonName(text: string): Buffer {
  return sequence(set(sequence(oid(oids.commonName), utf8String(text))));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return critical ? sequence(oid(id), boolean(true), octetString(value)) : sequence(oid(id), octetString(value));
}

function keyUsage(bit: number): Buffer {
  return bitString(Buffer.from([0x80 >> bit]), 7 - bit);
}

function dnsName(name: string): Buffer {
  return context(2, Buffer.from(name, 'ascii'), false);
}

function ipName(address: string): Buffer {
  return context(7, isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address), false);
}

/** Sixteen bytes of an IPv6 address in its usual forms. @throws if it is no address, or ends in an IPv4 one. */
function ipv6Bytes(address: string): Buffer {
  if (!isIPv6(address) || /[.%]/.test(address)) throw new Error(`${address}: not an IPv6 address in plain form`);
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]));
}

/** RFC 5280, 4.2.1.2, method 1 but over the whole SubjectPublicKeyInfo: any value that is unique will do. */
function keyId(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
