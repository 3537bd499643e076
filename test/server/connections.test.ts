import { Server } from 'node:http';
import { Agent } from 'node:https';
import { connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { listen } from '../../src/server/listen.ts';
import { call, eventually, serverName, startTestServer, type TestServer } from './support.ts';

/** Never within a test: what is let go is let go for another reason. */
const neverMs = 3_600_000;
const patient = {
  handshakeTimeoutMs: neverMs,
  headersTimeoutMs: neverMs,
  requestTimeoutMs: neverMs,
  checkIntervalMs: neverMs,
  idleGraceMs: 20,
};
const drainSoon = { shutdownDelayMs: 0, shutdownTimeoutMs: neverMs };

let target: TestServer;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await target?.stop();
});

async function tcp(allowHalfOpen = false): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port: target.server.admissionPort, allowHalfOpen });
  sockets.push(socket);
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => undefined);
  return socket;
}

const closed = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve));

describe('connections below HTTP', () => {
  it('a probe that connects and leaves is let go at once', async () => {
    target = await startTestServer({ limits: patient });
    const probe = await tcp(true);
    probe.resume();
    const ended = new Promise((resolve) => probe.once('end', resolve));
    probe.end();
    await ended;
    expect(target.tlsErrors.count).toBe(0);
    expect(target.clientErrors).toEqual([]);
  });

  it('a plain-HTTP client that does not leave after its answer is let go in time', async () => {
    target = await startTestServer({ limits: { ...patient, handshakeTimeoutMs: 100 } });
    const client = await tcp(true);
    const gone = closed(client);
    let text = '';
    client.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    client.write('POST /validate HTTP/1.1\r\nHost: x\r\n\r\n');
    await eventually('the answer', () => text.includes('https://'));
    const sending = setInterval(() => client.write('more'), 5);
    await gone;
    clearInterval(sending);
    expect(target.clientErrors).toEqual(['plain-http']);
  });

  it('TLS takes a handshake that arrives byte by byte', async () => {
    target = await startTestServer({ limits: patient });
    const outside = createTcpServer((near) => {
      const far = connectTcp({ host: '127.0.0.1', port: target.server.admissionPort });
      sockets.push(near, far);
      far.pipe(near);
      let sent = Promise.resolve();
      near.on('data', (chunk: Buffer) => {
        for (const byte of chunk.subarray(0, 20)) {
          sent = sent.then(() => new Promise((resolve) => void far.write(Buffer.from([byte]), () => resolve())));
        }
        sent = sent.then(() => void far.write(chunk.subarray(20)));
      });
    });
    await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
    const address = outside.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const session = connectTls({ host: '127.0.0.1', port, ca: target.ca, servername: serverName });
    sockets.push(session);
    await new Promise((resolve, reject) => {
      session.once('secureConnect', resolve);
      session.once('error', reject);
    });
    expect(session.authorized).toBe(true);
    outside.close();
  });
});

describe('drain does not wait for connections on which nothing was asked', () => {
  it('a silent one', async () => {
    target = await startTestServer({ limits: patient });
    const gone = closed(await tcp());
    expect(await target.server.drain(drainSoon)).toBe(0);
    await gone;
  });

  it('a TLS session without a request', async () => {
    target = await startTestServer({ limits: patient });
    const session = connectTls({
      host: '127.0.0.1',
      port: target.server.admissionPort,
      ca: target.ca,
      servername: serverName,
    });
    sockets.push(session);
    const gone = closed(session);
    session.resume();
    await new Promise((resolve) => session.once('secureConnect', resolve));
    expect(await target.server.drain(drainSoon)).toBe(0);
    await gone;
  });

  it('a kept-alive one', async () => {
    target = await startTestServer({ limits: patient });
    const agent = new Agent({ keepAlive: true });
    const { status } = await call({ port: target.server.admissionPort, ca: target.ca, agent });
    expect(status).toBe(200);
    expect(await target.server.drain(drainSoon)).toBe(0);
    agent.destroy();
  });

  it('but serves one that asks only after the listener is closed', async () => {
    target = await startTestServer({ limits: { ...patient, idleGraceMs: neverMs } });
    const session = connectTls({
      host: '127.0.0.1',
      port: target.server.admissionPort,
      ca: target.ca,
      servername: serverName,
    });
    sockets.push(session);
    let text = '';
    session.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await new Promise((resolve) => session.once('secureConnect', resolve));
    const drained = target.server.drain(drainSoon);
    await eventually('the listener is closed', () =>
      tcp().then(
        (socket) => {
          socket.destroy();
          return false;
        },
        () => true,
      ),
    );
    session.write(
      'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
    );
    await closed(session);
    expect(await drained).toBe(0);
    expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*Connection: close/);
  });

  it('an unfinished handshake, longer than the timeout', async () => {
    target = await startTestServer({ limits: patient });
    const client = await tcp();
    const gone = closed(client);
    // The head of a handshake record, and nothing after it.
    client.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]));
    expect(await target.server.drain({ shutdownDelayMs: 0, shutdownTimeoutMs: 50 })).toBe(0);
    await gone;
  });
});

/** A machine where IPv6 is switched off: binding `::` fails as it does there. */
class WithoutIpv6 extends Server {
  override listen(...args: unknown[]): this {
    const [port, host, callback] = args;
    if (host === '::') {
      const error = Object.assign(new Error('listen EAFNOSUPPORT'), { code: 'EAFNOSUPPORT' });
      queueMicrotask(() => this.emit('error', error));
      return this;
    }
    return super.listen({ port: Number(port), host: '127.0.0.1' }, () => {
      if (typeof callback === 'function') callback();
    });
  }
}

describe('listen', () => {
  it('falls back to IPv4 where there is no IPv6, and says so', async () => {
    const logged: string[] = [];
    const server = new WithoutIpv6();
    const port = await listen(server, 0, undefined, (level, message) => void logged.push(`${level}: ${message}`));
    expect(port).toBeGreaterThan(0);
    expect(logged).toEqual(['warn: IPv6 is not available here; listening on IPv4 alone']);
    server.close();
  });

  it('does not fall back from an address that was asked for, or a port that is in use', async () => {
    const silent = (): void => undefined;
    await expect(listen(new WithoutIpv6(), 0, '::', silent)).rejects.toThrow('EAFNOSUPPORT');
    const first = new Server();
    const port = await listen(first, 0, '127.0.0.1', silent);
    await expect(listen(new Server(), port, '127.0.0.1', silent)).rejects.toThrow('EADDRINUSE');
    first.close();
  });

  it('survives a connection that cannot be accepted', async () => {
    const logged: unknown[] = [];
    const server = new Server();
    await listen(server, 0, '127.0.0.1', (_level, _message, fields) => void logged.push(fields));
    server.emit('error', new Error('accept EMFILE'));
    expect(logged).toEqual([{ error: 'accept EMFILE' }]);
    server.close();
  });
});
