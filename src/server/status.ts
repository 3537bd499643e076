import type { ServerResponse } from 'node:http';
import { buildStatus } from '../admission/status.ts';

/** How much of a refused request's body is read and thrown away: somewhat more than of one that is taken. */
const maxDroppedBytes = 40 * 1024 * 1024;

/**
 * Writes an error, and ends the response when the request has arrived. A server that closes while the client still sends makes the
 * system reset the connection, and the client loses the answer. Never with Retry-After: kube-apiserver would send the same review again each second.
 */
export function sendStatus(
  response: ServerResponse,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = buildStatus(code, message);
  response.writeHead(code, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  });
  const { req: request } = response;
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
