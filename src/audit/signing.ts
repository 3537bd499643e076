import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomUUID,
  sign,
  verify,
} from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { canonicalOf } from './canonical.ts';

/** A key that signs checkpoints. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  /** SPKI PEM. */
  readonly publicKey: string;
  readonly keyId: string;
}

/** A signing key that cannot be used; the message names the file and the fix. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError';
}

/**
 * Reads the Ed25519 key (PKCS#8 PEM) of a file, or makes the file with a new one, for its owner only.
 * @throws SigningKeyError where the file holds no such key, or is not there and cannot be made.
 */
export function loadOrMakeSigningKey(file: string): SigningKey {
  try {
    return parseSigningKey(readFileSync(file), file);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw unusable(file, error);
  }
  try {
    makeKeyFile(file);
    return parseSigningKey(readFileSync(file), file);
  } catch (error) {
    throw unusable(file, error);
  }
}

/**
 * Whether the key is this user's own and others may read it, which is what ssh(1) asks of a key. One of another user is a mounted Secret: root's,
 * with a mode that Kubernetes chose, and nobody but the pod sees it.
 */
export function keyIsOpen(file: string): boolean {
  const { mode, uid } = statSync(file);
  return uid === process.geteuid?.() && (mode & 0o077) !== 0;
}

/** @param file is named in errors. @throws SigningKeyError */
export function parseSigningKey(pem: string | Buffer, file: string): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    // The library's message may quote the file.
    throw new SigningKeyError(
      `${file}: holds no unencrypted PEM private key: make one by "openssl genpkey -algorithm ed25519"`,
    );
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new SigningKeyError(`${file}: holds a key of type ${privateKey.asymmetricKeyType}: it must be Ed25519`);
  }
  const publicKey = createPublicKey(privateKey);
  return {
    privateKey,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    keyId: keyIdOf(publicKey),
  };
}

/** First 16 hex digits of the SHA-256 of the key's SPKI DER. */
export function keyIdOf(publicKey: KeyObject): string {
  return hash('sha256', publicKey.export({ type: 'spki', format: 'der' })).slice(0, 16);
}

/** Base64 of the signature over a text's UTF-8 bytes. */
export function signText({ privateKey }: SigningKey, text: string): string {
  return sign(null, Buffer.from(text), privateKey).toString('base64');
}

/** Whether a Checkpoint, as parsed from its line, was signed by this key. */
export function isSignedBy(publicKey: KeyObject, checkpoint: object): boolean {
  const { signature, ...rest }: { readonly signature?: unknown } = checkpoint;
  if (typeof signature !== 'string') return false;
  const signed = canonicalOf(rest);
  const bytes = Buffer.from(signature, 'base64');
  // Base64 has bits that say nothing: there is one way to write a signature.
  if (signed === undefined || bytes.toString('base64') !== signature) return false;
  return verify(null, Buffer.from(signed), publicKey, bytes);
}

/** Appears under its name whole or not at all: two replicas may start at once, and both take the first one's. */
function makeKeyFile(file: string): void {
  const { privateKey } = generateKeyPairSync('ed25519');
  const draft = `${file}.${randomUUID()}`;
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeSync(descriptor, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    fsyncSync(descriptor);
    linkSync(draft, file);
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
  } finally {
    closeSync(descriptor);
    unlinkSync(draft);
  }
}

function unusable(file: string, error: unknown): SigningKeyError {
  if (error instanceof SigningKeyError) return error;
  return new SigningKeyError(
    `${file}: is not there and cannot be made, or cannot be read (${error instanceof Error ? error.message : String(error)})`,
  );
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
