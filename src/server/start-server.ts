import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Express } from 'express';
import type { Log } from '../config/watch-files.ts';
import type { RequestListener } from './admission-endpoint.ts';
import type { Certificates } from './certificates.ts';
import { guardPlainHttp } from './connection.ts';
import { statusBody } from './status.ts';

/** kube-apiserver keeps an idle connection for 90 s and does not repeat a POST on one that was just closed: ours must live longer. */
const keepAliveTimeoutMs = 120_000;

export interface Limits {
  /** From connection to the end of the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** From a request's first byte to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From a request's first byte to the end of its body. The API server itself gives up after 30 s at most. */
  readonly requestTimeoutMs: number;
  /** How often the limits are looked at. */
  readonly checkIntervalMs: number;
}

export const defaultLimits: Limits = {
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  checkIntervalMs: 2_000,
};

export interface ServerOptions {
  readonly listener: RequestListener;
  readonly health: Express;
  readonly certificates: Certificates;
  /** `undefined`: all addresses, IPv6 and IPv4. */
  readonly host: string | undefined;
  /** 0 = any free port. */
  readonly port: number;
  readonly healthHost: string | undefined;
  readonly healthPort: number;
  readonly limits?: Limits;
  readonly log: Log;
  readonly onClientError: (kind: string) => void;
  readonly onTlsError: () => void;
}

export interface RunningServer {
  readonly admissionPort: number;
  readonly healthPort: number;
  /** True from the call of `drain` on: readiness must fail. */
  draining(): boolean;
  /**
   * Ends the server without losing a request. For `shutdownDelayMs` it goes on accepting, with `Connection: close` on every answer,
   * because endpoints lag behind; then it stops listening and waits for what is in flight, for at most `shutdownTimeoutMs`.
   * Calling it again ends the delay.
   * @returns how many requests had to be cut off: 0 unless the time ran out.
   */
  drain(options: { readonly shutdownDelayMs: number; readonly shutdownTimeoutMs: number }): Promise<number>;
}

/** Listens for admission over TLS and for health in the clear. @throws what listen(2) says, e.g. that a port is in use. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { certificates, limits = defaultLimits } = options;
  const active = new Set<ServerResponse>();
  let draining = false;
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    active.add(response);
    response.on('close', () => active.delete(response));
    if (draining) response.shouldKeepAlive = false;
    options.listener(request, response);
  };
  const secure = ({ cert, key }: { readonly cert: Buffer; readonly key: Buffer }) => ({
    cert,
    key,
    minVersion: 'TLSv1.2' as const,
    maxVersion: 'TLSv1.3' as const,
  });
  const admission = createHttpsServer(
    {
      ...secure(certificates.current()),
      keepAliveTimeout: keepAliveTimeoutMs,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      handshakeTimeout: limits.handshakeTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
    },
    onRequest,
  );
  guardPlainHttp(admission, {
    firstByteTimeoutMs: limits.handshakeTimeoutMs,
    onPlainHttp: () => options.onClientError('plain-http'),
  });
  certificates.onChange((pair) => admission.setSecureContext(secure(pair)));
  admission.on('tlsClientError', options.onTlsError);
  admission.on('clientError', (error: Error & { code?: string }, socket) =>
    answerBadRequest(error, socket, options.onClientError),
  );
  await listen(admission, options.port, options.host);

  const health = createHttpServer(options.health);
  try {
    await listen(health, options.healthPort, options.healthHost);
  } catch (error) {
    admission.close();
    throw error;
  }

  let hasten: (() => void) | undefined;
  let drained: Promise<number> | undefined;
  return {
    admissionPort: portOf(admission),
    healthPort: portOf(health),
    draining: () => draining,
    drain({ shutdownDelayMs, shutdownTimeoutMs }) {
      if (drained !== undefined) {
        hasten?.();
        return drained;
      }
      draining = true;
      for (const response of active) if (!response.headersSent) response.shouldKeepAlive = false;
      drained = (async () => {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, shutdownDelayMs);
          hasten = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        const cut = await closeGracefully(admission, active, shutdownTimeoutMs);
        health.closeAllConnections();
        await new Promise<void>((resolve) => health.close(() => resolve()));
        certificates.close();
        return cut;
      })();
      return drained;
    },
  };
}

/** Stops listening, closes idle connections, and waits for the busy ones. */
async function closeGracefully(
  server: Server,
  active: ReadonlySet<ServerResponse>,
  timeoutMs: number,
): Promise<number> {
  let cut = 0;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => {
    cut = active.size;
    server.closeAllConnections();
  }, timeoutMs);
  await closed;
  clearTimeout(timer);
  return cut;
}

/** Listens on all addresses where no host is given: `::` takes IPv4 too, and is not there where IPv6 is switched off. */
async function listen(server: Server, port: number, host: string | undefined): Promise<void> {
  const hosts = host === undefined ? ['::', '0.0.0.0'] : [host];
  for (const [index, candidate] of hosts.entries()) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, candidate, () => {
          server.removeListener('error', reject);
          resolve();
        });
      });
      return;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      const noIpv6 = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
      if (!noIpv6 || index === hosts.length - 1) throw error;
    }
  }
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

/** An answer for a request that the HTTP parser refuses, or that took too long. */
function answerBadRequest(
  error: Error & { code?: string },
  socket: Socket | import('node:stream').Duplex,
  onClientError: (kind: string) => void,
): void {
  const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  if (error.code === 'ECONNRESET' || !socket.writable) {
    onClientError('aborted');
    socket.destroy();
    return;
  }
  onClientError(late ? 'slow' : 'bad-request');
  const code = late ? 408 : 400;
  const body = statusBody(
    code,
    late ? 'the request took too long to arrive' : 'the request is not HTTP/1.1 that can be read',
  );
  socket.end(
    `HTTP/1.1 ${code} ${late ? 'Request Timeout' : 'Bad Request'}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
