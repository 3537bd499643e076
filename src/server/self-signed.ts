import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import {
  bitString,
  boolean,
  childrenOf,
  context,
  elementsOf,
  integer,
  octetString,
  oid,
  sequence,
  set,
  time,
  utf8String,
} from './der.ts';

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

/** A CA with its key: what signs serving certificates. */
export interface Authority {
  readonly certPem: string;
  /** PKCS#8 where it was made here. */
  readonly keyPem: string;
}

/**
 * Makes a CA and a serving certificate of it, ECDSA P-256: handshakes are part of what a burst of pods costs, and P-256 signs some
 * forty times faster than RSA 2048. The CA's key is thrown away. For demo and tests: each call draws new keys.
 */
export function createSelfSigned(options: SelfSignedOptions): SelfSigned {
  const { notBefore, notAfter } = options;
  const authority = createAuthority({ name: 'osmo-admission self-made CA', notBefore, notAfter });
  return { ...issueServing(authority, options), caPem: authority.certPem };
}

/** Makes a CA with a new key, ECDSA P-256. */
export function createAuthority({
  name,
  notBefore,
  notAfter,
}: Pick<SelfSignedOptions, 'notBefore' | 'notAfter'> & { readonly name: string }): Authority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const own = commonName(name);
  const der = certificate({
    issuer: own,
    subject: own,
    validity: sequence(time(notBefore), time(notAfter)),
    publicKey,
    signer: privateKey,
    extensions: [
      extension(oids.basicConstraints, true, sequence(boolean(true), integer(Buffer.from([0])))),
      extension(oids.keyUsage, true, keyUsage(keyUsageBits.keyCertSign)),
      extension(oids.subjectKeyIdentifier, false, octetString(keyId(publicKey))),
    ],
  });
  return { certPem: pem(der), keyPem: pkcs8(privateKey) };
}

/**
 * Issues a certificate that a server serves. @param authority its key is an EC key.
 * @param options.keyPem of the key that it is for, which comes back as it is; a new one (ECDSA P-256) where it is left out.
 */
export function issueServing(
  authority: Authority,
  {
    dnsNames,
    ipAddresses,
    notBefore,
    notAfter,
    usage = 'serverAuth',
    keyPem,
  }: SelfSignedOptions & { readonly keyPem?: string | undefined },
): Pick<SelfSigned, 'certPem' | 'keyPem'> {
  const privateKey =
    keyPem === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : createPrivateKey(keyPem);
  const publicKey = createPublicKey(privateKey);
  const { subject, keyIdentifier } = readIssuer(new X509Certificate(authority.certPem).raw);
  const der = certificate({
    issuer: subject,
    subject: commonName((dnsNames[0] ?? ipAddresses[0] ?? 'webhook').slice(0, maxCommonNameLength)),
    validity: sequence(time(notBefore), time(notAfter)),
    publicKey,
    signer: createPrivateKey(authority.keyPem),
    extensions: [
      extension(oids.basicConstraints, true, sequence()),
      extension(oids.keyUsage, true, keyUsage(keyUsageBits.digitalSignature)),
      extension(oids.extendedKeyUsage, false, sequence(oid(oids[usage]))),
      extension(oids.subjectAltName, false, sequence(...dnsNames.map(dnsName), ...ipAddresses.map(ipName))),
      extension(oids.subjectKeyIdentifier, false, octetString(keyId(publicKey))),
      ...(keyIdentifier === undefined
        ? []
        : [extension(oids.authorityKeyIdentifier, false, sequence(context(0, keyIdentifier, false)))]),
    ],
  });
  return { certPem: pem(der), keyPem: keyPem ?? pkcs8(privateKey) };
}

/** What a certificate says of its issuer, as the issuer's own says it: chains are built by these bytes, whoever made the issuer. */
function readIssuer(der: Buffer): { readonly subject: Buffer; readonly keyIdentifier: Buffer | undefined } {
  const [toBeSigned] = childrenOf(elementsOf(der)[0]);
  // RFC 5280, 4.1: version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, and extensions as [3].
  const fields = childrenOf(toBeSigned);
  const extensions = childrenOf(childrenOf(fields.find(({ tag }) => tag === 0xa3))[0]);
  const wanted = oid(oids.subjectKeyIdentifier);
  const found = extensions.map(childrenOf).find(([id]) => id?.whole.equals(wanted));
  return { subject: fields[5]?.whole ?? sequence(), keyIdentifier: childrenOf(found?.at(-1))[0]?.content };
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
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
