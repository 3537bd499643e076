import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type SecureVersion } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CertificateError, parsePair, startCertificates } from '../../src/server/certificates.ts';
import { createSelfSigned, issueServing } from '../../src/server/self-signed.ts';
import { call, eventually, selfSigned, serverName, startTestServer, type TestServer } from './support.ts';

let target: TestServer;
beforeEach(async () => {
  target = await startTestServer();
});
afterEach(() => target.stop());

/** The protocol that a handshake agrees on. */
function handshake(minVersion: SecureVersion, maxVersion: SecureVersion): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const ciphers = maxVersion === 'TLSv1.1' ? 'DEFAULT@SECLEVEL=0' : undefined;
    const socket = connect(
      {
        host: '127.0.0.1',
        port: target.server.admissionPort,
        ca: target.ca,
        servername: serverName,
        minVersion,
        maxVersion,
        ...(ciphers !== undefined && { ciphers }),
      },
      () => {
        resolve(socket.getProtocol());
        socket.destroy();
      },
    );
    socket.on('error', reject);
  });
}

describe('TLS', () => {
  it('speaks 1.3 and 1.2, and nothing older', async () => {
    expect(await handshake('TLSv1.3', 'TLSv1.3')).toBe('TLSv1.3');
    expect(await handshake('TLSv1.2', 'TLSv1.2')).toBe('TLSv1.2');
    await expect(handshake('TLSv1.1', 'TLSv1.1')).rejects.toThrow();
    expect((await call({ port: target.server.admissionPort, ca: target.ca })).status).toBe(200);
  });

  it('counts a handshake that fails, and goes on', async () => {
    const socket = connectTcp({ host: '127.0.0.1', port: target.server.admissionPort }, () => {
      // The head of a handshake record, and then no ClientHello.
      socket.write(Buffer.from([0x16, 0x03, 0x01, 0x00, 0x05, 1, 2, 3, 4, 5]));
    });
    socket.on('error', () => undefined);
    await eventually('it is counted', () => target.tlsErrors.count === 1);
    socket.destroy();
    expect((await call({ port: target.server.admissionPort, ca: target.ca })).status).toBe(200);
  });

  it('keeps an idle connection, and serves several requests on it', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = await call({ port: target.server.admissionPort, ca: target.ca, agent });
    const second = await call({ port: target.server.admissionPort, ca: target.ca, agent });
    expect([first.reused, second.reused]).toEqual([false, true]);
    // kube-apiserver's own idle limit is 90 s.
    expect(Number(/timeout=(\d+)/.exec(String(first.headers['keep-alive']))?.[1])).toBeGreaterThan(90);
    agent.destroy();
  });
});

describe('certificate rotation', () => {
  it('serves new connections the new certificate, while open ones live on', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await call({ port: target.server.admissionPort, ca: target.ca, agent });
    const newCa = target.replaceCertificate();
    await eventually('the new certificate is served', () =>
      call({ port: target.server.admissionPort, ca: newCa }).then(
        () => true,
        () => false,
      ),
    );
    await expect(call({ port: target.server.admissionPort, ca: target.ca })).rejects.toThrow();
    const old = await call({ port: target.server.admissionPort, ca: target.ca, agent });
    expect([old.status, old.reused]).toEqual([200, true]);
    agent.destroy();
  });

  it('keeps the old pair while the new one is half written, and says so', async () => {
    const { certPem, keyPem, caPem } = selfSigned();
    writeFileSync(join(target.directory, 'tls.crt'), certPem);
    await eventually('the mismatch is seen', () => target.certificates.error().includes('is not the key of'));
    expect((await call({ port: target.server.admissionPort, ca: target.ca })).status).toBe(200);
    writeFileSync(join(target.directory, 'tls.key'), keyPem);
    await eventually('the pair is complete', () => target.certificates.error() === '');
    expect((await call({ port: target.server.admissionPort, ca: caPem })).status).toBe(200);
  });

  it('keeps the old pair while a file is empty, garbage or gone', async () => {
    const certFile = join(target.directory, 'tls.crt');
    writeFileSync(certFile, '');
    await eventually('the empty file is seen', () => target.certificates.error().includes('holds no PEM certificate'));
    rmSync(certFile);
    await eventually('the missing file is seen', () => target.certificates.error().includes('cannot be read'));
    expect((await call({ port: target.server.admissionPort, ca: target.ca })).status).toBe(200);
  });
});

describe('the first certificate', () => {
  const files = { certFile: 'tls.crt', keyFile: 'tls.key' };
  it('must be a pair', () => {
    const [a, b] = [selfSigned(), selfSigned()];
    expect(() => parsePair(Buffer.from(a.certPem), Buffer.from(b.keyPem), files)).toThrow(
      /tls\.key: is not the key of tls\.crt/,
    );
    expect(() => parsePair(Buffer.from('x'), Buffer.from(b.keyPem), files)).toThrow(
      /tls\.crt: holds no PEM certificate/,
    );
    expect(() => parsePair(Buffer.from(a.certPem), Buffer.from('x'), files)).toThrow(
      /tls\.key: holds no unencrypted PEM private key/,
    );
  });

  it('must be there, or the server does not start', async () => {
    const start = startCertificates({
      certFile: '/nowhere/tls.crt',
      keyFile: '/nowhere/tls.key',
      pollMs: 1_000,
      log: () => undefined,
      onReload: () => undefined,
    });
    await expect(start).rejects.toThrow(CertificateError);
  });
});

describe('the self-made certificate', () => {
  it('is an ECDSA P-256 leaf of a CA, for names and addresses, which OpenSSL accepts', () => {
    const { certPem, caPem } = selfSigned();
    const leaf = new X509Certificate(certPem);
    const ca = new X509Certificate(caPem);
    expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect([leaf.ca, ca.ca]).toEqual([false, true]);
    expect(leaf.verify(ca.publicKey) && leaf.checkIssued(ca)).toBe(true);
    expect(leaf.checkHost(serverName)).toBe(serverName);
    expect([leaf.checkIP('127.0.0.1'), leaf.checkIP('::1')]).toEqual(['127.0.0.1', '::1']);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    const directory = mkdtempSync(join(tmpdir(), 'openssl-'));
    writeFileSync(join(directory, 'ca.crt'), caPem);
    writeFileSync(join(directory, 'tls.crt'), certPem);
    const said = execFileSync(
      'openssl',
      [
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        '-CAfile',
        join(directory, 'ca.crt'),
        join(directory, 'tls.crt'),
      ],
      { encoding: 'utf8' },
    );
    rmSync(directory, { recursive: true });
    expect(said).toContain('OK');
  });

  it('can be of a CA that OpenSSL made, with a name and a key identifier of its own', () => {
    const directory = mkdtempSync(join(tmpdir(), 'openssl-'));
    const path = (name: string): string => join(directory, name);
    const openssl = (...args: readonly string[]): string =>
      execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    openssl(
      ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days', '2'],
      ...['-subj', '/C=DE/O=Some GmbH/CN=some CA', '-addext', 'subjectKeyIdentifier=0102030405'],
      ...['-addext', 'keyUsage=critical,keyCertSign', '-keyout', path('ca.key'), '-out', path('ca.crt')],
    );
    const read = (name: string): string => readFileSync(path(name), 'utf8');
    const now = Date.now();
    const { certPem } = issueServing(
      { certPem: read('ca.crt'), keyPem: read('ca.key') },
      { dnsNames: ['a.example'], ipAddresses: [], notBefore: new Date(now - 1_000), notAfter: new Date(now + 60_000) },
    );
    writeFileSync(path('tls.crt'), certPem);
    expect(openssl('verify', '-x509_strict', '-partial_chain', '-CAfile', path('ca.crt'), path('tls.crt'))).toContain(
      'OK',
    );
    expect(openssl('x509', '-noout', '-ext', 'authorityKeyIdentifier', '-in', path('tls.crt'))).toContain(
      '01:02:03:04:05',
    );
    rmSync(directory, { recursive: true });
  });

  it('can outlive 2049, when certificates change their form of time', () => {
    const { certPem } = createSelfSigned({
      dnsNames: ['a.example'],
      ipAddresses: [],
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2051-02-03T04:05:06Z'),
    });
    expect(new X509Certificate(certPem).validToDate).toEqual(new Date('2051-02-03T04:05:06Z'));
  });
});
