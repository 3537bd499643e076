import type { ServerResponse } from 'node:http';
import { buildStatus } from '../admission/status.ts';

/** How much of a body is read and thrown away after its answer: more than any that an API server sends. */
const maxDroppedBytes = 40 * 1024 * 1024;

/** Writes an error. Never with Retry-After: kube-apiserver would send the same review again each second. */
export function sendStatus(
  response: ServerResponse,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendEarly(response, code, 'application/json', buildStatus(code, message), headers);
}

/**
 * Answers, also before the request has come whole, and ends the response when it has. A server that closes while the client still sends
 * makes the system reset the connection, and the client loses the answer. Such a connection is not used again.
 */
export function sendEarly(
  response: ServerResponse,
  code: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const { req: request } = response;
  response.writeHead(code, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    ...(!request.complete && { Connection: 'close' }),
    ...headers,
  });
  if (request.complete) {
    response.end(body);
    return;
  }
  response.write(body);
  let droppedBytes = 0;
  const end = (): void => void response.end();
  request.on('data', (chunk: Buffer) => {
    droppedBytes += chunk.length;
    if (droppedBytes > maxDroppedBytes) end();
  });
  request.on('end', end);
  request.on('close', end);
}
