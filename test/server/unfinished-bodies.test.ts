import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beginReview, call, eventually, startTestServer, type TestServer } from './support.ts';

/*
 * Whoever reaches the port can begin bodies and never end them. What others send must be answered all the same, and memory must not grow.
 * The time that a request may take (30 s) is longer than that of a test, so that it ends none of them.
 */

const mebibyte = 1024 * 1024;

let target: TestServer;
const sockets: TLSSocket[] = [];

beforeEach(async () => {
  target = await startTestServer();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await target.stop();
});

interface Unfinished {
  readonly socket: TLSSocket;
  /** All that it was sent. */
  received(): string;
}

async function begin(length: number, sent: number): Promise<Unfinished> {
  const socket = await beginReview({ port: target.server.admissionPort, ca: target.ca, length, sent });
  sockets.push(socket);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  return { socket, received: () => text };
}

const review = async (bytes: number): Promise<number> =>
  (await call({ port: target.server.admissionPort, ca: target.ca, body: Buffer.alloc(bytes) })).status;

describe('a large review is answered', { timeout: 20_000 }, () => {
  it('although more large ones than are read at once were begun and stopped coming', async () => {
    const idle = [await begin(2 * mebibyte, 1), await begin(2 * mebibyte, 65_536), await begin(2 * mebibyte, 0)];
    expect(await review(3 * mebibyte)).toBe(200);
    const answered = idle.filter(({ received }) => received().startsWith('HTTP/1.1 408 '));
    expect(answered.length).toBeGreaterThan(0);
    for (const { received } of answered) {
      expect(received()).toContain('Connection: close');
      expect(received()).toContain('the body came so slowly that others had to wait for it');
    }
    expect(target.clientErrors).toEqual(answered.map(() => 'slow'));
  });

  it('although others come byte by byte', async () => {
    const slow = [await begin(2 * mebibyte, 1), await begin(2 * mebibyte, 1)];
    const timer = setInterval(() => slow.forEach(({ socket }) => void (socket.writable && socket.write('x'))), 50);
    expect(await review(3 * mebibyte)).toBe(200);
    clearInterval(timer);
    expect(target.clientErrors).toContain('slow');
  });

  it('and so are all of many that come at once', async () => {
    const statuses = await Promise.all(Array.from({ length: 12 }, () => review(8 * mebibyte)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(target.clientErrors).toEqual([]);
  });

  it('where nobody waits, a slow one may take its time', async () => {
    const { socket, received } = await begin(2 * mebibyte, mebibyte);
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(received()).toBe('');
    socket.write(Buffer.alloc(mebibyte));
    await eventually('it is answered', () => received().startsWith('HTTP/1.1 200 '));
  });
});

describe('a smaller one is answered', { timeout: 20_000 }, () => {
  it('although more of them than are read at once were begun and stopped coming', async () => {
    const idle: Unfinished[] = [];
    for (let count = 0; count < 70; count++) idle.push(await begin(mebibyte, mebibyte - 1));
    expect(await review(mebibyte)).toBe(200);
    expect(target.clientErrors.length).toBeGreaterThan(0);
    expect(new Set(target.clientErrors)).toEqual(new Set(['slow']));
    // What was not cut off can still be ended.
    const last = idle.at(-1);
    last?.socket.write('x');
    await eventually('it is answered', () => last?.received().startsWith('HTTP/1.1 200 ') === true);
  });

  it('although large ones wait', async () => {
    for (let count = 0; count < 5; count++) await begin(2 * mebibyte, 1);
    expect(await review(mebibyte)).toBe(200);
    expect(await review(10)).toBe(200);
    expect(target.clientErrors).toEqual([]);
  });
});

describe('what waits for others', { timeout: 20_000 }, () => {
  it('and comes when its time is over, is not judged', async () => {
    const held = [await begin(2 * mebibyte, 1), await begin(2 * mebibyte, 1)];
    const late = await call({
      port: target.server.admissionPort,
      ca: target.ca,
      path: '/validate?timeout=300ms',
      body: Buffer.alloc(3 * mebibyte),
    });
    expect(late.status).toBe(408);
    expect(late.body).toContain('after the time that the parameter timeout gives');
    expect(held.length).toBe(2);
  });
});

describe('connections of one address', { timeout: 20_000 }, () => {
  it('are so many at most; others have their own', async () => {
    await target.stop();
    target = await startTestServer({ limits: { connectionsPerAddress: 5 } });
    for (let count = 0; count < 5; count++) await begin(10, 1);
    await expect(review(10)).rejects.toThrow();
    expect(target.clientErrors).toEqual(['connections']);
    expect((await call({ port: target.server.admissionPort, ca: target.ca, localAddress: '127.0.0.9' })).status).toBe(
      200,
    );
    sockets.pop()?.destroy();
    await eventually('there is room again', async () => (await review(10).catch(() => 0)) === 200);
  });
});
