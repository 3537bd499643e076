import type { IncomingMessage } from 'node:http';
import { createGate, type Gate, type Visit } from './gate.ts';

/**
 * A request to the API server is at most 3 MiB, an object that it has stored half of that. It writes `<`, `>`, `&` and control characters
 * into a review as six bytes each, so that object and oldObject take up to 27 MiB: a limit below that would be a way past every webhook
 * with failurePolicy Ignore.
 */
export const maxBodyBytes = 32 * 1024 * 1024;

/**
 * How many bodies above a size are read at a time, so that they do not add up; no smaller one waits for them. Nearly all reviews are below
 * the last. While others wait, a body may stop coming for `idleMs`, and come for `longestMs`: an API server sends it in a fraction of that.
 */
const classes = [
  { aboveBytes: 8 * 1024 * 1024, room: 1, idleMs: 500, longestMs: 2_000 },
  { aboveBytes: 1024 * 1024, room: 2, idleMs: 500, longestMs: 2_000 },
  // Of these are the reviews for which an API server waits but a second.
  { aboveBytes: 64 * 1024, room: 32, idleMs: 200, longestMs: 500 },
] as const;

export interface BodyCallbacks {
  /** @returns what its place is kept for, where that goes on: it may hold all that was read. */
  readonly onBody: (body: Buffer) => Promise<void> | undefined;
  /** It did not come, or so slowly that others had to wait: `slow` may still be answered, the rest of it is not read. */
  readonly onIncomplete: (kind: 'aborted' | 'slow', answerable: boolean) => void;
}

/** Whoever is verified waits for nobody who is not. */
export type Standing = 'known' | 'stranger';

/**
 * Gathers a body. Exactly one of the callbacks is called, once.
 * @param length in bytes, as the client says it, at most `maxBodyBytes`; Node lets no more come.
 */
export type BodyReader = (
  request: IncomingMessage,
  length: number,
  standing: Standing,
  callbacks: BodyCallbacks,
) => void;

export function createBodyReader(): BodyReader {
  const gates = classes.map(({ aboveBytes, room, ...patience }) => ({
    aboveBytes,
    known: createGate({ room, ...patience }),
    stranger: createGate({ room: Math.ceil(room / 2), ...patience }),
  }));
  return (request, length, standing, callbacks) => {
    const gate = gates.find(({ aboveBytes }) => length > aboveBytes)?.[standing];
    if (gate === undefined) read(request, length, callbacks).start();
    else readInTurn(request, length, gate, callbacks);
  };
}

/** Reads, and so keeps, nothing before there is room. */
function readInTurn(request: IncomingMessage, bytes: number, gate: Gate, callbacks: BodyCallbacks): void {
  let visit: Visit | undefined;
  const reading = read(request, bytes, callbacks, {
    onChunk: () => visit?.progress(),
    onEnd: () => visit?.leave(),
  });
  const source = request.socket.remoteAddress ?? '';
  visit = gate.enter({ source, onEnter: reading.start, onOverdue: reading.cutOff });
  // What Node reads ahead it keeps piece by piece, and a client may send pieces of a byte.
  if (!reading.hasStarted()) request.socket.pause();
}

interface Reading {
  start(): void;
  hasStarted(): boolean;
  cutOff(): void;
}

interface ReadingListener {
  onChunk(): void;
  /** Nothing of it is kept any more. */
  onEnd(): void;
}

function read(
  request: IncomingMessage,
  bytes: number,
  { onBody, onIncomplete }: BodyCallbacks,
  { onChunk, onEnd }: ReadingListener = { onChunk: () => undefined, onEnd: () => undefined },
): Reading {
  let state: 'waiting' | 'reading' | 'settled' = 'waiting';
  let body: Buffer | undefined;
  let length = 0;

  const done = (): void => {
    if (state === 'settled') return;
    state = 'settled';
    const going = onBody(body ?? Buffer.alloc(0));
    body = undefined;
    if (going === undefined) onEnd();
    else void going.finally(onEnd);
  };
  const fail = (kind: 'aborted' | 'slow', answerable: boolean): void => {
    if (state === 'settled') return;
    state = 'settled';
    body = undefined;
    onIncomplete(kind, answerable);
    onEnd();
  };
  const stop = (error?: Error & { readonly code?: string }): void =>
    fail(error?.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'slow' : 'aborted', false);

  request.on('error', stop);
  request.on('close', stop);
  request.on('end', done);
  return {
    start() {
      state = 'reading';
      request.on('data', (chunk: Buffer) => {
        if (state === 'settled') return;
        // Put where it belongs at once: pieces and the whole would take twice as much.
        if (body === undefined && chunk.length >= bytes) {
          body = chunk;
        } else {
          body ??= Buffer.allocUnsafeSlow(bytes);
          chunk.copy(body, length);
        }
        length += chunk.length;
        onChunk();
      });
    },
    hasStarted: () => state !== 'waiting',
    cutOff: () => fail('slow', true),
  };
}
