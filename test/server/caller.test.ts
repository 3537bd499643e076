import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseAuthorities, startClientCa } from '../../src/server/client-ca.ts';
import {
  beginReview,
  type CallOptions,
  call,
  clientCertificate,
  eventually,
  type Reply,
  startTestServer,
  type TestServer,
  type TestServerOptions,
} from './support.ts';

const apiServer = clientCertificate('kube-apiserver');
const other = clientCertificate('kube-apiserver');
const hour = 3_600_000;

let target: TestServer;
const agents: Agent[] = [];
afterEach(() => {
  for (const agent of agents.splice(0)) agent.destroy();
  return target.stop();
});

async function start(clients: Partial<TestServerOptions['clients']> = {}): Promise<void> {
  target = await startTestServer({ clients: { authorities: apiServer.caPem, ...clients } });
}

const send = (options: Partial<CallOptions> = {}): Promise<Reply> =>
  call({ port: target.server.admissionPort, ca: target.ca, ...options });
const verified = async (options: Partial<CallOptions> = {}): Promise<boolean> => {
  const { status, body } = await send(options);
  expect(status).toBe(200);
  return JSON.parse(body).callerVerified;
};
/** Each agent keeps TLS sessions, and connections where that is asked for. */
const agent = (keepAlive: boolean, maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'): Agent => {
  const made = new Agent({ keepAlive, maxVersion, maxSockets: 1 });
  agents.push(made);
  return made;
};

describe('a caller', () => {
  it('is verified by a certificate of the authority', async () => {
    await start();
    expect(await verified({ client: apiServer })).toBe(true);
    expect(target.unverified).toEqual([]);
  });

  it('is not by none, and is served all the same', async () => {
    await start();
    expect(await verified()).toBe(false);
    expect(target.unverified).toEqual(['none']);
  });

  it.each([
    ['of another authority', () => other, 'authority'],
    ['that has expired', () => expired, 'expired'],
    ['that is not valid yet', () => early, 'expired'],
    ['for servers', () => server, 'usage'],
    ['that says no usage', () => anyUse, 'usage'],
    ['of another name', () => stranger, 'name'],
  ] as const)('is not by a certificate %s; its handshake goes through', async (_what, certificate, reason) => {
    const all = [apiServer, expired, early, server, anyUse, stranger].map(({ caPem }) => caPem).join('');
    await start({ authorities: all, allowedNames: ['kube-apiserver', 'another'] });
    expect(await verified({ client: certificate() })).toBe(false);
    expect(await verified({ client: apiServer })).toBe(true);
    expect(target.unverified).toEqual([reason]);
    expect(target.tlsErrors.count).toBe(0);
  });

  it('may have any name where none is listed', async () => {
    await start({ authorities: stranger.caPem });
    expect(await verified({ client: stranger })).toBe(true);
  });

  it('is nobody with several common names, though one of them is listed', async () => {
    await start({ authorities: twoNames.caPem, allowedNames: ['kube-apiserver'] });
    expect(await verified({ client: twoNames })).toBe(false);
    expect(target.unverified).toEqual(['name']);
  });

  it('that is not verified keeps no large review of one that is waiting, by bodies that it never ends', async () => {
    await start();
    const begun = { port: target.server.admissionPort, ca: target.ca, length: 2_000_000, sent: 1 };
    const sockets = await Promise.all([1, 2, 3].map(() => beginReview(begun)));
    await eventually('they have begun', () => target.unverified.length === sockets.length);
    expect(await verified({ client: apiServer, body: Buffer.alloc(2_000_000) })).toBe(true);
    for (const socket of sockets) socket.destroy();
  });

  it('is not verified by anything where no certificate is asked for', async () => {
    target = await startTestServer();
    expect(await verified({ client: apiServer })).toBe(false);
  });
});

const expired = clientCertificate('kube-apiserver', {
  notBefore: new Date(Date.now() - 2 * hour),
  notAfter: new Date(Date.now() - hour),
});
const early = clientCertificate('kube-apiserver', { notBefore: new Date(Date.now() + hour / 2) });
const server = clientCertificate('kube-apiserver', { usage: 'serverAuth' });
const stranger = clientCertificate('stranger');
const anyUse = byOpenssl('/CN=kube-apiserver', 'basicConstraints=CA:FALSE');
const twoNames = byOpenssl('/CN=stranger/CN=kube-apiserver', 'extendedKeyUsage=clientAuth');
const intermediate = byOpenssl('/CN=intermediate', 'basicConstraints=critical,CA:TRUE');

/** A certificate as `createSelfSigned` makes none. */
function byOpenssl(subject: string, extension: string): { certPem: string; keyPem: string; caPem: string } {
  const script = `
    set -e; cd "$(mktemp -d)"; trap 'rm -r "$PWD"' EXIT
    new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'
    $new -keyout ca.key -out ca.crt -subj "/CN=CA of $SUBJECT" 2>/dev/null
    $new -CA ca.crt -CAkey ca.key -keyout tls.key -out tls.crt -subj "$SUBJECT" -addext "$EXTENSION" 2>/dev/null
    cat tls.crt tls.key ca.crt`;
  const env = { ...process.env, SUBJECT: subject, EXTENSION: extension };
  const [certPem = '', keyPem = '', caPem = ''] = execFileSync('sh', ['-c', script], { encoding: 'utf8', env }).split(
    /(?<=-----END [A-Z ]+-----\n)/,
  );
  return { certPem, keyPem, caPem };
}

describe('where a certificate is required', () => {
  it('refuses who shows none with 401 and who shows a wrong one with 403, says why and counts it', async () => {
    await start({
      authorities: `${apiServer.caPem}${stranger.caPem}`,
      allowedNames: ['kube-apiserver'],
      required: true,
    });
    const none = await send();
    expect([none.status, JSON.parse(none.body).reason]).toEqual([401, 'Unauthorized']);
    expect(JSON.parse(none.body).message).toContain('takes reviews only with a client certificate');
    const wrong = await send({ client: stranger });
    expect([wrong.status, JSON.parse(wrong.body).reason]).toEqual([403, 'Forbidden']);
    expect(JSON.parse(wrong.body).message).toContain('--client-allowed-names');
    expect(await verified({ client: apiServer })).toBe(true);
    expect(target.unverified).toEqual(['none', 'name']);
    expect(target.clientErrors).toEqual(['unverified', 'unverified']);
  });

  it('lets anybody ask for health', async () => {
    await start({ required: true });
    expect((await fetch(`http://127.0.0.1:${target.server.healthPort}/healthz`)).status).toBe(200);
  });
});

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('a session that is resumed over %s', (version) => {
  it('is verified as the first', async () => {
    await start();
    const sessions = agent(false, version);
    expect(await verified({ client: apiServer, agent: sessions })).toBe(true);
    const again = await send({ client: apiServer, agent: sessions });
    expect([again.resumed, JSON.parse(again.body).callerVerified]).toEqual([true, true]);
  });

  it.each([
    ['no certificate', undefined, 'none'],
    ['one of another authority', other, 'authority'],
  ] as const)('is not verified if it began with %s', async (_what, client, reason) => {
    await start();
    const options = { agent: agent(false, version), ...(client !== undefined && { client }) };
    expect(await verified(options)).toBe(false);
    const again = await send(options);
    expect([again.resumed, JSON.parse(again.body).callerVerified]).toEqual([true, false]);
    expect(target.unverified).toEqual([reason, reason]);
  });

  it('ends with its certificate, and with the authority that verified it', async () => {
    let now = Date.now();
    await start({ now: () => now });
    const sessions = agent(false, version);
    const options = { client: apiServer, agent: sessions };
    expect(await verified(options)).toBe(true);
    now += 2 * hour;
    const late = await send(options);
    expect([late.resumed, JSON.parse(late.body).callerVerified]).toEqual([true, false]);
    now -= 2 * hour;
    writeFileSync(join(target.directory, 'client-ca.crt'), other.caPem);
    await eventually('the other authority', () => verified({ client: other }));
    const after = await send(options);
    expect([after.resumed, JSON.parse(after.body).callerVerified]).toEqual([false, false]);
  });
});

describe('a connection that is kept', () => {
  it('keeps its verdict when its certificate ends', async () => {
    let now = Date.now();
    await start({ now: () => now });
    const options = { client: apiServer, agent: agent(true) };
    expect(await verified(options)).toBe(true);
    now += 2 * hour;
    const kept = await send(options);
    expect([kept.reused, JSON.parse(kept.body).callerVerified]).toEqual([true, true]);
    expect(await verified({ client: apiServer })).toBe(false);
  });

  it('keeps its verdict when the authorities change, while new ones go by the new', async () => {
    await start();
    const [good, bad] = [agent(true), agent(true)];
    expect(await verified({ client: apiServer, agent: good })).toBe(true);
    expect(await verified({ client: other, agent: bad })).toBe(false);
    writeFileSync(join(target.directory, 'client-ca.crt'), other.caPem);
    await eventually('the other authority', () => verified({ client: other }));
    const kept = await send({ client: apiServer, agent: good });
    expect([kept.reused, JSON.parse(kept.body).callerVerified]).toEqual([true, true]);
    const known = await send({ client: other, agent: bad });
    expect([known.reused, JSON.parse(known.body).callerVerified]).toEqual([true, false]);
    expect(await verified({ client: apiServer })).toBe(false);
  });

  it('is asked for a certificate after the serving one was replaced, too', async () => {
    await start();
    const ca = target.replaceCertificate();
    await eventually('the new certificate', () =>
      verified({ client: apiServer, ca }).then(
        (is) => is,
        () => false,
      ),
    );
    expect(await verified({ ca })).toBe(false);
  });
});

describe('the file of authorities', () => {
  it('is kept as it was while it is garbage or gone, and says so', async () => {
    await start();
    const file = join(target.directory, 'client-ca.crt');
    writeFileSync(file, 'x');
    await eventually('the garbage is seen', () => target.clientCa?.error().includes('holds no PEM') === true);
    rmSync(file);
    await eventually('it is missed', () => target.clientCa?.error().includes('cannot be read') === true);
    expect(await verified({ client: apiServer })).toBe(true);
    writeFileSync(file, apiServer.caPem);
    await eventually('it is back', () => target.clientCa?.error() === '');
  });

  it('must hold whole CAs up to a root', () => {
    const parse = (text: string) => () => parseAuthorities(Buffer.from(text), 'ca.crt');
    expect(parse(apiServer.caPem + other.caPem)().pems.length).toBe(2);
    expect(parse('')).toThrow('ca.crt: holds no PEM certificate');
    expect(parse(apiServer.caPem + other.caPem.slice(0, 300))).toThrow('ca.crt: ends within a certificate');
    expect(parse(apiServer.caPem.replace(/M[^\n]+\n/, 'MIIB\n'))).toThrow('ca.crt: certificate 1 cannot be read');
    expect(parse(apiServer.caPem + apiServer.certPem)).toThrow('certificate 2 is not one of a CA');
    expect(parse(intermediate.certPem)).toThrow(
      'certificate 1 is of an intermediate CA whose issuer is not in the file',
    );
  });

  it('must be there, or the server does not start', async () => {
    await start();
    const options = { pollMs: 1_000, log: () => undefined, onReload: () => undefined };
    await expect(startClientCa({ file: '/nowhere/ca.crt', ...options })).rejects.toThrow(
      '/nowhere/ca.crt: cannot be read',
    );
  });
});
