import type { IncomingMessage } from 'node:http';
import { createGate, type Visit } from './gate.ts';

/**
 * A request to the API server is at most 3 MiB, an object that it has stored half of that. It writes `<`, `>`, `&` and control characters
 * into a review as six bytes each, so that object and oldObject take up to 27 MiB: a limit below that would be a way past every webhook
 * with failurePolicy Ignore.
 */
export const maxBodyBytes = 32 * 1024 * 1024;

/**
 * How many bodies above a size are read at a time, so that they do not add up; no smaller one waits for them. Nearly all reviews are below
 * the last.
 */
const classes = [
  { aboveBytes: 8 * 1024 * 1024, room: 1 },
  { aboveBytes: 1024 * 1024, room: 2 },
  { aboveBytes: 64 * 1024, room: 32 },
] as const;

/** How long such a body may stop coming, and how long it may come, while others wait: an API server sends one in a fraction of that. */
const idleMs = 500;
const longestMs = 2_000;

export interface BodyCallbacks {
  readonly onBody: (body: Buffer) => void;
  readonly onTooLarge: () => void;
  /** It did not come, or so slowly that others had to wait: `slow` may still be answered, the rest of it is not read. */
  readonly onIncomplete: (kind: 'aborted' | 'slow', answerable: boolean) => void;
}

/** Whoever is verified waits for nobody who is not. */
export type Standing = 'known' | 'stranger';

/** Gathers a body of bounded size. Exactly one of the callbacks is called, once. */
export type BodyReader = (request: IncomingMessage, standing: Standing, callbacks: BodyCallbacks) => void;

export function createBodyReader(): BodyReader {
  const gates = classes.map(({ aboveBytes, room }) => ({
    aboveBytes,
    known: createGate({ room, idleMs, longestMs }),
    stranger: createGate({ room: Math.ceil(room / 2), idleMs, longestMs }),
  }));
  return (request, standing, callbacks) => {
    // Kubernetes sends the length of every review; a body without one may be as large as it likes.
    const length = lengthOf(request) ?? maxBodyBytes;
    const gate = gates.find(({ aboveBytes }) => length > aboveBytes)?.[standing];
    let visit: Visit | undefined;
    const reading = createReading(request, callbacks, {
      onChunk: () => visit?.progress(),
      onEnd: () => visit?.leave(),
    });
    if (gate === undefined) return reading.start();
    // Nothing is read, and so nothing kept, before there is room.
    const source = request.socket.remoteAddress ?? '';
    visit = gate.enter({ source, onEnter: reading.start, onOverdue: reading.cutOff });
  };
}

/** Node has checked that it is a number, and that no more comes. */
function lengthOf({ headers }: IncomingMessage): number | undefined {
  const length = headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

interface Reading {
  start(): void;
  cutOff(): void;
}

interface ReadingListener {
  onChunk(): void;
  /** Nothing of it is kept any more. */
  onEnd(): void;
}

/** The part of a body that has come. */
interface Gathered {
  /** @returns how much has come. */
  add(chunk: Buffer): number;
  whole(): Buffer;
}

/** @param expected bytes; undefined where the client does not say. */
function createGathered(expected: number | undefined): Gathered {
  const chunks: Buffer[] = [];
  let place: Buffer | undefined;
  let length = 0;
  return {
    add(chunk) {
      // Put where it belongs: the parts and the whole of a large body would take twice as much.
      if (expected !== undefined && chunk.length < expected) {
        place ??= Buffer.allocUnsafeSlow(expected);
        chunk.copy(place, length);
      } else {
        chunks.push(chunk);
      }
      length += chunk.length;
      return length;
    },
    whole() {
      const [only] = chunks;
      return place ?? (chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, length));
    },
  };
}

function createReading(
  request: IncomingMessage,
  { onBody, onTooLarge, onIncomplete }: BodyCallbacks,
  { onChunk, onEnd }: ReadingListener,
): Reading {
  let gathered: Gathered | undefined;
  let settled = false;
  /** Calls back, the first time alone. */
  const settle = (tell: () => void): void => {
    if (settled) return;
    settled = true;
    gathered = undefined;
    tell();
    onEnd();
  };
  const stop = (error?: Error & { readonly code?: string }): void =>
    settle(() => onIncomplete(error?.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'slow' : 'aborted', false));

  request.on('error', stop);
  request.on('close', stop);
  request.on('end', () => {
    const body = gathered?.whole();
    if (body !== undefined) settle(() => onBody(body));
  });
  return {
    start() {
      gathered = createGathered(lengthOf(request));
      request.on('data', (chunk: Buffer) => {
        if (gathered === undefined) return;
        if (gathered.add(chunk) > maxBodyBytes) settle(onTooLarge);
        else onChunk();
      });
    },
    cutOff: () => settle(() => onIncomplete('slow', true)),
  };
}
