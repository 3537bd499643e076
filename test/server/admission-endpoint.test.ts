import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maxBodyBytes } from '../../src/server/read-body.ts';
import { call, eventually, serverName, startTestServer, type TestServer } from './support.ts';

const deadlines: number[] = [];
let target: TestServer;

beforeAll(async () => {
  target = await startTestServer({
    limits: { handshakeTimeoutMs: 300, headersTimeoutMs: 300, requestTimeoutMs: 400, checkIntervalMs: 50 },
    handler: (phase, body, deadlineMs) => {
      deadlines.push(deadlineMs);
      if (body.toString() === '"throw later"')
        return Promise.resolve({ status: 500, contentType: 'application/json', body: '{}' });
      return { status: 200, contentType: 'application/json', body: `${phase} ${body.length}` };
    },
  });
});
afterAll(() => target.stop());

const post = (options: Partial<Parameters<typeof call>[0]> = {}): ReturnType<typeof call> =>
  call({ port: target.server.admissionPort, ca: target.ca, ...options });

/** After every bad input the next request must be served. */
async function stillServes(): Promise<void> {
  expect((await post()).status).toBe(200);
}

function messageOf(body: string): string {
  const status: { kind: string; status: string; message: string; code: number } = JSON.parse(body);
  expect(status.kind).toBe('Status');
  expect(status.status).toBe('Failure');
  return status.message;
}

/** Writes raw bytes over TLS and resolves with everything that comes back until the server closes. */
function rawTls(text: string, end = true): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls(
      { host: '127.0.0.1', port: target.server.admissionPort, ca: target.ca, servername: serverName },
      () => {
        socket.write(text);
        if (end) socket.end();
      },
    );
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}

describe('a good request', () => {
  it('reaches the handler whole, on both paths', async () => {
    expect((await post({ path: '/mutate', body: 'abc' })).body).toBe('mutate 3');
    expect((await post({ path: '/validate?timeout=5s', body: Buffer.alloc(3 * 1024 * 1024) })).body).toBe(
      `validate ${3 * 1024 * 1024}`,
    );
  });

  it('may say its charset', async () => {
    expect((await post({ headers: { 'Content-Type': 'application/json; charset=utf-8' } })).status).toBe(200);
  });

  it('of the largest size is served', async () => {
    expect((await post({ body: Buffer.alloc(maxBodyBytes) })).body).toBe(`validate ${maxBodyBytes}`);
  });
});

describe('?timeout=', () => {
  it('becomes the deadline, less a margin; 10 s where it is absent', async () => {
    deadlines.length = 0;
    for (const query of ['?timeout=5s', '?timeout=1m30s', '?timeout=1.5s', ''])
      await post({ path: `/validate${query}` });
    const limits = [5_000, 90_000, 1_500, 10_000];
    expect(deadlines).toHaveLength(4);
    deadlines.forEach((deadline, index) => {
      expect(deadline).toBeLessThan(limits[index] ?? 0);
      expect(deadline).toBeGreaterThan(0);
    });
  });

  it('that is no duration is refused', async () => {
    for (const timeout of ['soon', '-1s', '5', '1e3s', 's']) {
      const { status, body } = await post({ path: `/validate?timeout=${timeout}` });
      expect(status).toBe(400);
      expect(messageOf(body)).toContain('duration such as 10s');
    }
    await stillServes();
  });
});

describe('bad input gets a clear answer, and the next request is served', () => {
  it('a wrong content type', async () => {
    for (const type of ['text/plain', 'application/yaml', 'application/jsonp', '']) {
      const { status, body } = await post({ headers: { 'Content-Type': type } });
      expect(status).toBe(415);
      expect(messageOf(body)).toContain('application/json');
    }
    await stillServes();
  });

  it('a content encoding', async () => {
    expect((await post({ headers: { 'Content-Encoding': 'gzip' } })).status).toBe(415);
    await stillServes();
  });

  it('a length over the limit, before any of the body', async () => {
    const answer = await rawTls(
      `POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${maxBodyBytes + 1}\r\n\r\n`,
      false,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('Connection: close');
    expect(messageOf(answer.slice(answer.indexOf('{')))).toContain(String(maxBodyBytes));
    await stillServes();
  });

  it('no length', async () => {
    const answer = await rawTls(
      'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
      false,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 411 /);
    expect(messageOf(answer.slice(answer.indexOf('{')))).toContain('Content-Length');
    await stillServes();
  });

  it('another method', async () => {
    const { status, headers } = await post({ method: 'GET' });
    expect(status).toBe(405);
    expect(headers.allow).toBe('POST');
  });

  it('another path', async () => {
    const { status, body } = await post({ path: '/healthz', method: 'GET' });
    expect(status).toBe(404);
    expect(messageOf(body)).toContain('POST an AdmissionReview');
  });

  it('a client that hangs up in the middle of its body', async () => {
    const before = target.clientErrors.filter((kind) => kind === 'aborted').length;
    const socket = connectTls({
      host: '127.0.0.1',
      port: target.server.admissionPort,
      ca: target.ca,
      servername: serverName,
    });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.write(
      'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"half":',
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.destroy();
    await eventually(
      'the abort is counted',
      () => target.clientErrors.filter((kind) => kind === 'aborted').length > before,
    );
    await stillServes();
  });

  it('a slow client gets 408', async () => {
    const answer = await rawTls(
      'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"slow":',
      false,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(messageOf(answer.slice(answer.indexOf('{')))).toContain('too long');
    await stillServes();
  });

  it('a client that never sends a byte is let go', async () => {
    const socket = connectTcp({ host: '127.0.0.1', port: target.server.admissionPort });
    await new Promise((resolve) => socket.once('close', resolve));
    await stillServes();
  });

  it('bytes that are no HTTP', async () => {
    expect(await rawTls('\u0000\u0001garbage\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    await stillServes();
  });

  it('a plain-HTTP client on the TLS port is told so', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connectTcp({ host: '127.0.0.1', port: target.server.admissionPort }, () =>
        socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
      );
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.0 400 /);
    expect(answer).toContain('https://');
    expect(target.clientErrors).toContain('plain-http');
    await stillServes();
  });
});
