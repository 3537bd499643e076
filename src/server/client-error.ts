import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { buildStatus } from '../admission/status.ts';

/**
 * Answers what never became a whole request: bytes that are not HTTP, a body that ends too early, a client that takes too long.
 * @param pending answers that are owed on this connection. Whoever owes one learns of the error from its request and counts it there.
 */
export function answerClientError(
  error: Error & { readonly code?: string },
  socket: Duplex,
  pending: readonly ServerResponse[],
  onClientError: (kind: string) => void,
): void {
  const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const hungUp = error.code === 'ECONNRESET' || !socket.writable;
  if (pending.length === 0) onClientError(hungUp ? 'aborted' : late ? 'slow' : 'bad-request');
  const finish = (): void => {
    for (const { req } of pending) req.destroy(error);
    socket.destroy();
  };
  // An answer written into another one, or ahead of one that is owed, would be taken for it.
  const owed = pending.some(({ headersSent, req }) => headersSent || req.complete);
  if (hungUp || owed) {
    finish();
    return;
  }
  const [code, text, message] = late
    ? [408, 'Request Timeout', 'the request took too long to arrive']
    : [400, 'Bad Request', 'the request is not HTTP/1.1 that can be read'];
  const body = buildStatus(code, message);
  socket.end(
    `HTTP/1.1 ${code} ${text}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    finish,
  );
}
