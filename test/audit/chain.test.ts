import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalize } from '../../src/audit/canonical.ts';
import { type ChainState, link, linkCheckpoint } from '../../src/audit/chain.ts';
import { noHash } from '../../src/audit/line.ts';
import { isSignedBy, keyIdOf, keyIsOpen, loadOrMakeSigningKey, parseSigningKey } from '../../src/audit/signing.ts';
import { record } from '../support/record.ts';

const start: ChainState = { cluster: 'c', replica: 'r', boot: 'b'.repeat(32), sequence: 0, previous: noHash };
const time = '2026-11-25T12:00:00.000Z';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('the chain', () => {
  it('gives each line the next number and the hash of the line before', () => {
    const first = link(start, record({ requestUID: 'a' }));
    const second = link(first.next, record({ requestUID: 'b' }));
    const lines = [first, second].map(({ line }) => JSON.parse(line));
    expect(lines.map(({ sequence, previous }) => [sequence, previous])).toEqual([
      [1, noHash],
      [2, sha256(first.line)],
    ]);
    expect(second.hash).toBe(sha256(second.line));
    expect(second.next).toEqual({ ...start, sequence: 2, previous: second.hash });
  });

  it('writes lines in canonical form, which hold the header and the record', () => {
    const { line } = link(start, record({ requestUID: 'a' }));
    expect(line).toBe(canonicalize(JSON.parse(line)));
    expect(JSON.parse(line)).toMatchObject({
      apiVersion: 'osmo-admission/v1alpha1',
      kind: 'AdmissionRecord',
      cluster: 'c',
      replica: 'r',
      boot: start.boot,
      requestUID: 'a',
      callerVerified: false,
    });
  });

  it('has no line that a text breaks in two', () => {
    const hostile = 'x\n{"kind":"LogStop"}\r\u2028\u0000';
    const { line } = link({ ...start, cluster: hostile }, record({ requestUID: hostile, policyDigest: hostile }));
    expect(line.split(/\s*[\n\r]/)).toEqual([line]);
    expect(JSON.parse(line).requestUID).toBe(hostile);
  });
});

describe('checkpoints', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = parseSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'key.pem');

  it('sign how many lines there are and, by their hash, what they say', () => {
    const first = link(start, record({}));
    const { line, next } = linkCheckpoint(first.next, key, time);
    const checkpoint = JSON.parse(line);
    expect(checkpoint).toMatchObject({
      kind: 'Checkpoint',
      sequence: 2,
      records: 1,
      keyId: keyIdOf(publicKey),
      previous: first.hash,
    });
    expect(next.previous).toBe(sha256(line));
    expect(isSignedBy(publicKey, checkpoint)).toBe(true);
  });

  it('are signed by the key that signed them, by no other, and by no other kind of key', () => {
    const checkpoint = JSON.parse(linkCheckpoint(start, key, time).line);
    expect(isSignedBy(publicKey, checkpoint)).toBe(true);
    expect(isSignedBy(generateKeyPairSync('ed25519').publicKey, checkpoint)).toBe(false);
    expect(isSignedBy(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey, checkpoint)).toBe(false);
  });

  it('are signed however their members are ordered, since they are canonical', () => {
    const checkpoint = JSON.parse(linkCheckpoint(start, key, time).line);
    expect(isSignedBy(publicKey, Object.fromEntries(Object.entries(checkpoint).reverse()))).toBe(true);
  });

  it('whose signature is no Base64 of 64 bytes, written in the one way there is, are signed by nobody', () => {
    const checkpoint = JSON.parse(linkCheckpoint(start, key, time).line);
    const good = String(checkpoint.signature);
    const malformed: readonly unknown[] = [
      ...['', ' ', '=', 'no signature', good.slice(0, -2), `${good}AAAA`, ` ${good}`, `${good}\n`],
      // The same bytes, in other letters: the last one has four bits that say nothing.
      good.replaceAll('+', '-').replaceAll('/', '_').replace('==', ''),
      good.replace(/.==$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}==`),
      Buffer.alloc(64).toString('base64'),
      Buffer.from(good, 'base64').subarray(0, 63).toString('base64'),
      ...[undefined, null, 1, true, [good], { good }],
    ];
    for (const signature of malformed) {
      expect([signature, isSignedBy(publicKey, { ...checkpoint, signature })]).toEqual([signature, false]);
    }
    expect(isSignedBy(publicKey, {})).toBe(false);
  });

  it('that have no canonical form are signed by nobody', () => {
    const checkpoint = JSON.parse(linkCheckpoint(start, key, time).line);
    expect(isSignedBy(publicKey, { ...checkpoint, replica: '\ud800' })).toBe(false);
  });

  it('are signed by nobody when any member differs', () => {
    const checkpoint = JSON.parse(linkCheckpoint(start, key, time).line);
    for (const [name, value] of Object.entries(checkpoint)) {
      const other = typeof value === 'number' ? value + 1 : `${String(value).slice(0, -4)}AAAA`;
      expect([name, isSignedBy(publicKey, { ...checkpoint, [name]: other })]).toEqual([name, false]);
    }
    expect(isSignedBy(publicKey, { ...checkpoint, more: 1 })).toBe(false);
  });
});

describe('the signing key', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'signing-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('is made once, for its owner only, and is the same ever after', () => {
    const file = join(directory, 'key.pem');
    const made = loadOrMakeSigningKey(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['key.pem']);
    expect(loadOrMakeSigningKey(file).publicKey).toBe(made.publicKey);
    expect(keyIsOpen(file)).toBe(false);
    chmodSync(file, 0o640);
    expect(keyIsOpen(file)).toBe(true);
    expect(made.keyId).toMatch(/^[0-9a-f]{16}$/);
    expect(keyIdOf(createPublicKey(made.publicKey))).toBe(made.keyId);
  });

  it('that is there is never replaced', () => {
    const file = join(directory, 'key.pem');
    writeFileSync(file, 'x');
    expect(() => loadOrMakeSigningKey(file)).toThrow(/key\.pem: holds no unencrypted PEM private key/);
    expect(readFileSync(file, 'utf8')).toBe('x');
  });

  it('must be Ed25519', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(() => parseSigningKey(pem, 'k.pem')).toThrow('k.pem: holds a key of type ec: it must be Ed25519');
  });

  it('that cannot be made says so', () => {
    expect(() => loadOrMakeSigningKey(join(directory, 'no', 'key.pem'))).toThrow(
      /is not there and cannot be made.*ENOENT/,
    );
    writeFileSync(join(directory, 'file'), '');
    expect(() => loadOrMakeSigningKey(join(directory, 'file', 'key.pem'))).toThrow(/ENOTDIR/);
  });
});
