import { Agent } from 'node:https';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Answer } from '../../src/policy/model/handler.ts';
import { call, eventually, type Reply, startTestServer, type TestServer } from './support.ts';

/** Whether nobody listens on a port any more. */
function refused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });
}

const good: Answer = { status: 200, contentType: 'application/json', body: '{}' };

let target: TestServer;
afterEach(() => target.stop());

describe('drain', () => {
  it('loses no request under load, and says Connection: close on every answer of the delay', async () => {
    target = await startTestServer({
      handler: () => new Promise((resolve) => setTimeout(() => resolve(good), 5)),
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const replies: { reply: Reply; draining: boolean }[] = [];
    let failed: unknown;
    let going = true;
    const client = async (): Promise<void> => {
      while (going) {
        const draining = target.server.draining();
        try {
          replies.push({ reply: await call({ port: target.server.admissionPort, ca: target.ca, agent }), draining });
        } catch (error) {
          failed ??= error;
          return;
        }
      }
    };
    const clients = Array.from({ length: 8 }, client);
    await eventually('requests flow', () => replies.length > 50);
    // Each of these opens a connection, so a busy machine makes few in a second.
    const drained = target.server.drain({ shutdownDelayMs: 2_000, shutdownTimeoutMs: 5_000 });
    await eventually('requests flow while draining', () => replies.filter(({ draining }) => draining).length > 20);
    // As endpoints do: the clients go elsewhere before the listener closes.
    going = false;
    await Promise.all(clients);
    expect(failed).toBeUndefined();
    expect(await drained).toBe(0);
    expect(replies.every(({ reply }) => reply.status === 200)).toBe(true);
    expect(replies.filter(({ draining }) => draining).every(({ reply }) => reply.headers.connection === 'close')).toBe(
      true,
    );
    expect(replies.some(({ reply }) => reply.headers.connection === 'keep-alive')).toBe(true);
    agent.destroy();
  });

  it('waits for a request in flight after the listener is closed, and answers it whole', async () => {
    let release: ((answer: Answer) => void) | undefined;
    target = await startTestServer({
      handler: () =>
        new Promise((resolve) => {
          release = resolve;
        }),
    });
    const pending = call({ port: target.server.admissionPort, ca: target.ca });
    await eventually('the request is in flight', () => release !== undefined);
    let done = false;
    const drained = target.server.drain({ shutdownDelayMs: 0, shutdownTimeoutMs: 5_000 }).then((cut) => {
      done = true;
      return cut;
    });
    await eventually('the listener is closed', () => refused(target.server.admissionPort));
    expect(done).toBe(false);
    release?.(good);
    expect((await pending).status).toBe(200);
    expect(await drained).toBe(0);
  });

  it('cuts off what takes longer than the timeout, and says how many', async () => {
    let entered = false;
    target = await startTestServer({
      handler: () => {
        entered = true;
        return new Promise(() => undefined);
      },
    });
    const pending = call({ port: target.server.admissionPort, ca: target.ca }).then(
      () => 'answered',
      () => 'cut',
    );
    await eventually('the request is in flight', () => entered);
    expect(await target.server.drain({ shutdownDelayMs: 0, shutdownTimeoutMs: 50 })).toBe(1);
    expect(await pending).toBe('cut');
  });

  it('is hastened by a second call', async () => {
    target = await startTestServer();
    const first = target.server.drain({ shutdownDelayMs: 3_600_000, shutdownTimeoutMs: 1_000 });
    const second = target.server.drain({ shutdownDelayMs: 3_600_000, shutdownTimeoutMs: 1_000 });
    expect(await first).toBe(0);
    expect(await second).toBe(0);
  });

  it('serves health until the end, and readiness fails from the start', async () => {
    target = await startTestServer({
      checks: () => [{ name: 'draining', state: target.server.draining() ? 'failed' : 'ok', detail: '' }],
    });
    const ready = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${target.server.healthPort}/readyz`)).status;
    expect(await ready()).toBe(200);
    const drained = target.server.drain({ shutdownDelayMs: 3_600_000, shutdownTimeoutMs: 1_000 });
    expect(await ready()).toBe(503);
    expect((await fetch(`http://127.0.0.1:${target.server.healthPort}/healthz`)).status).toBe(200);
    void target.server.drain({ shutdownDelayMs: 0, shutdownTimeoutMs: 1_000 });
    await drained;
  });
});
