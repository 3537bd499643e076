import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import supertest from 'supertest';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Answer, ReviewHandler } from '../../src/policy/model/handler.ts';
import { createAdmissionEndpoint } from '../../src/server/admission-endpoint.ts';
import { createAdmissionListener, createApp } from '../../src/server/app.ts';
import { maxBodyBytes } from '../../src/server/read-body.ts';
import { call, eventually, serverName, startTestServer, type TestServer } from './support.ts';

const good: Answer = { status: 200, contentType: 'application/json', body: '{"good":true}' };
const head = 'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

let target: TestServer;
let handler: ReviewHandler;
let handled = 0;
const sockets: TLSSocket[] = [];

/** A server that gives a client so long for a request. */
const startTarget = (timeoutMs: number): Promise<TestServer> =>
  startTestServer({
    limits: {
      handshakeTimeoutMs: 5_000,
      headersTimeoutMs: timeoutMs,
      requestTimeoutMs: timeoutMs,
      checkIntervalMs: 20,
    },
    handler: (phase, body, ...rest) => {
      handled += 1;
      return handler(phase, body, ...rest);
    },
  });

beforeAll(async () => {
  target = await startTarget(200);
});
afterAll(() => target.stop());
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  handler = () => good;
  // Whatever was sent before, the next request is served.
  const { status, body } = await call({ port: target.server.admissionPort, ca: target.ca });
  expect({ status, body }).toEqual({ status: 200, body: good.body });
});
beforeEach(() => {
  handler = () => good;
  target.clientErrors.length = 0;
  handled = 0;
});

/** A TLS connection, once its handshake is done, and all that it is sent until the server closes it. */
async function open(options: ConnectionOptions = {}): Promise<{ socket: TLSSocket; received: Promise<string> }> {
  const socket = connect({
    host: '127.0.0.1',
    port: target.server.admissionPort,
    ca: target.ca,
    servername: serverName,
    ...options,
  });
  sockets.push(socket);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const received = new Promise<string>((resolve) => {
    socket.on('error', (error) => resolve(`${text}[${error.message}]`));
    socket.on('close', () => resolve(text));
  });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  return { socket, received };
}

/** Gives a second count of the same event the time to show. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));

describe('a body that never becomes whole is counted once, and nobody judges it', () => {
  it('when the client hangs up', async () => {
    const { socket } = await open();
    socket.write(`${head}Content-Length: 100\r\n\r\n{"half":`);
    await settle();
    socket.destroy();
    await eventually('it is counted', () => target.clientErrors.length > 0);
    await settle();
    expect(target.clientErrors).toEqual(['aborted']);
    expect(handled).toBe(0);
  });

  it('when the client ends its side too early; it is told', async () => {
    const { socket, received } = await open();
    socket.end(`${head}Content-Length: 100\r\n\r\n{"half":`);
    expect(await received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*"reason":"BadRequest"/);
    await settle();
    expect(target.clientErrors).toEqual(['aborted']);
    expect(handled).toBe(0);
  });

  it('when the client is too slow; it is told', async () => {
    const { socket, received } = await open();
    socket.write(`${head}Content-Length: 100\r\n\r\n{"slow":`);
    expect(await received).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n[\s\S]*"reason":"Timeout"/);
    await settle();
    expect(target.clientErrors).toEqual(['slow']);
    expect(handled).toBe(0);
  });
});

describe('a request without whole headers', () => {
  it('is counted as slow, once', async () => {
    const { socket, received } = await open();
    socket.write(head);
    expect(await received).toMatch(/^HTTP\/1\.1 408 /);
    await settle();
    expect(target.clientErrors).toEqual(['slow']);
  });

  it('is refused above 16 KiB of headers', async () => {
    const { socket, received } = await open();
    socket.write(`${head}X-Long: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(await received).toMatch(/^HTTP\/1\.1 400 /);
    expect(target.clientErrors).toEqual(['bad-request']);
  });
});

describe('a client that goes on sending gets its refusal whole, not a reset', () => {
  // A busy machine takes longer than that to send this much.
  let hasty: TestServer;
  beforeAll(async () => {
    hasty = target;
    target = await startTarget(30_000);
  });
  afterAll(async () => {
    await target.stop();
    target = hasty;
  });

  const mebibyte = Buffer.alloc(1024 * 1024, ' ');

  const tooMany = maxBodyBytes / mebibyte.length + 1;

  it('with a MiB too much', async () => {
    for (let round = 0; round < 3; round++) {
      const answer = await call({
        port: target.server.admissionPort,
        ca: target.ca,
        body: Buffer.alloc(tooMany * mebibyte.length, ' '),
      });
      expect(answer.status).toBe(413);
      expect(answer.headers.connection).toBe('close');
      expect(JSON.parse(answer.body)).toMatchObject({ kind: 'Status', code: 413, reason: 'RequestEntityTooLarge' });
    }
    expect(target.clientErrors).toEqual(Array(3).fill('too-large'));
    expect(handled).toBe(0);
  });

  it('that comes in chunks, so that nobody knows how long it is', async () => {
    for (let round = 0; round < 3; round++) {
      const { socket, received } = await open();
      socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
      for (let i = 0; i < tooMany; i++) {
        socket.write(`${mebibyte.length.toString(16)}\r\n`);
        socket.write(mebibyte);
        socket.write('\r\n');
      }
      socket.write('0\r\n\r\n');
      expect(await received).toMatch(/^HTTP\/1\.1 411 [\s\S]*Content-Length[\s\S]*"code":411\}$/);
    }
    expect(target.clientErrors).toEqual(Array(3).fill('length'));
    expect(handled).toBe(0);
  });

  it('with a wrong content type, and closes the connection once it has been sent', async () => {
    const { socket, received } = await open();
    socket.write(`${head.replace('application/json', 'text/plain')}Content-Length: ${mebibyte.length}\r\n\r\n`);
    socket.write(mebibyte);
    expect(await received).toMatch(/^HTTP\/1\.1 415 [\s\S]*Connection: close[\s\S]*"code":415\}$/);
  });

  it('but not for ever', async () => {
    const { socket, received } = await open();
    socket.write(`${head}Content-Length: ${maxBodyBytes * 100}\r\n\r\n`);
    for (let i = 0; i < 60; i++) socket.write(mebibyte);
    expect(await received).toMatch(/^HTTP\/1\.1 413 /);
    expect(target.clientErrors).toEqual(['too-large']);
  });
});

describe('bytes that are no HTTP behind a good request', () => {
  it('never get an answer that could be taken for the one that is owed', async () => {
    handler = () => new Promise(() => undefined);
    const { socket, received } = await open();
    socket.write(`${head}Content-Length: 2\r\n\r\n{}`);
    await eventually('the good request is judged', () => handled === 1);
    socket.write('garbage\r\n\r\n');
    expect(await received).toBe('');
  });
});

describe('a handler that throws', () => {
  const faults: unknown[] = [];
  const listenerFor = (broken: ReviewHandler) =>
    createAdmissionListener(
      createAdmissionEndpoint({
        handler: broken,
        onClientError: () => undefined,
        onFault: (error) => faults.push(error),
        now: () => 0,
      }),
      createApp(),
    );
  const broken: readonly (readonly [string, ReviewHandler])[] = [
    [
      'at once',
      () => {
        throw new Error('secret detail');
      },
    ],
    ['later', () => Promise.reject(new Error('secret detail'))],
    ['by an answer that is none', () => ({ ...good, status: 0 })],
  ];
  for (const [name, handlerOf] of broken) {
    it(`${name} is HTTP 500 without its words, and is told to the server`, async () => {
      faults.length = 0;
      const answer = await supertest(listenerFor(handlerOf)).post('/mutate').send({});
      expect(answer.status).toBe(500);
      expect(answer.body).toMatchObject({ kind: 'Status', code: 500, reason: 'InternalError' });
      expect(answer.headers['retry-after']).toBeUndefined();
      expect(answer.text).not.toContain('secret');
      expect(faults).toHaveLength(1);
    });
  }
});

describe('?timeout=', () => {
  it('is never longer than what a webhook configuration may name', async () => {
    let deadline = 0;
    handler = (_phase, _body, deadlineMs) => {
      deadline = deadlineMs;
      return good;
    };
    await call({ port: target.server.admissionPort, ca: target.ca, path: '/validate?timeout=1000h' });
    expect(deadline).toBeGreaterThan(0);
    expect(deadline).toBeLessThan(30_000);
  });

  it('may not be a text of any length', async () => {
    const { status } = await call({
      port: target.server.admissionPort,
      ca: target.ca,
      path: `/validate?timeout=${'1'.repeat(10_000)}`,
    });
    expect(status).toBe(400);
  });
});
