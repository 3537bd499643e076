import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { Server as NetServer } from 'node:net';
import type { Express } from 'express';
import type { Log } from '../config/watch-files.ts';
import type { RequestListener } from './admission-endpoint.ts';
import type { Certificates, KeyPair } from './certificates.ts';
import type { Authorities, ClientCa } from './client-ca.ts';
import { answerClientError } from './client-error.ts';
import { type Connections, guardPlainHttp } from './connection.ts';
import { listen } from './listen.ts';

/** kube-apiserver keeps an idle connection for 90 s and does not repeat a POST on one that was just closed: ours must live longer. */
const keepAliveTimeoutMs = 120_000;

/** Many round trips inside a cluster. */
const defaultIdleGraceMs = 1_000;

/** The API server's request line and headers are under 1 KiB; this is Node's default, held fixed. */
const maxHeaderBytes = 16 * 1024;

export interface Limits {
  /** From connection to the end of the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** How many connections one address may have. */
  readonly connectionsPerAddress: number;
  /** From a request's first byte to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From a request's first byte to the end of its body. The API server itself gives up after 30 s at most. */
  readonly requestTimeoutMs: number;
  /** How often the limits are looked at. */
  readonly checkIntervalMs: number;
  /** How long an open connection on which nothing is asked may still ask, once the server no longer listens. */
  readonly idleGraceMs?: number;
}

export const defaultLimits: Limits = {
  handshakeTimeoutMs: 10_000,
  connectionsPerAddress: 1_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  checkIntervalMs: 2_000,
};

export interface ServerOptions {
  readonly listener: RequestListener;
  readonly health: Express;
  readonly certificates: Certificates;
  /** Left out: clients are asked for no certificate. */
  readonly clientCa?: ClientCa | undefined;
  /** `undefined`: all addresses, IPv6 and IPv4. */
  readonly host: string | undefined;
  /** 0 = any free port. */
  readonly port: number;
  readonly healthHost: string | undefined;
  readonly healthPort: number;
  readonly limits?: Partial<Limits>;
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
  const { certificates, clientCa } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const active = new Set<ServerResponse>();
  let draining = false;
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    active.add(response);
    response.on('close', () => active.delete(response));
    if (draining) response.shouldKeepAlive = false;
    options.listener(request, response);
  };
  const secure = ({ cert, key }: KeyPair, authorities: Authorities | undefined) => ({
    cert,
    key,
    ...(authorities !== undefined && { ca: [...authorities.pems] }),
    minVersion: 'TLSv1.2' as const,
    maxVersion: 'TLSv1.3' as const,
  });
  const admission = createHttpsServer(
    {
      ...secure(certificates.current(), clientCa?.current()),
      // A client that is not verified has its handshake all the same: an HTTP answer reaches the API server's log, an alert only as 'bad certificate'.
      ...(clientCa !== undefined && { requestCert: true, rejectUnauthorized: false }),
      keepAliveTimeout: keepAliveTimeoutMs,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      handshakeTimeout: limits.handshakeTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      maxHeaderSize: maxHeaderBytes,
    },
    onRequest,
  );
  const connections = guardPlainHttp(admission, {
    firstByteTimeoutMs: limits.handshakeTimeoutMs,
    onPlainHttp: () => options.onClientError('plain-http'),
    maxPerAddress: limits.connectionsPerAddress,
    onTooMany: () => options.onClientError('connections'),
  });
  certificates.onChange((pair) => admission.setSecureContext(secure(pair, clientCa?.current())));
  // A new context has new ticket keys: no session that another authority verified is resumed.
  clientCa?.onChange((authorities) => admission.setSecureContext(secure(certificates.current(), authorities)));
  admission.on('tlsClientError', options.onTlsError);
  admission.on('clientError', (error: Error & { code?: string }, socket) => {
    const pending = [...active].filter((response) => response.req.socket === socket);
    answerClientError(error, socket, pending, options.onClientError);
  });
  const admissionPort = await listen(admission, options.port, options.host, options.log);

  const health = createHttpServer(
    { headersTimeout: limits.headersTimeoutMs, requestTimeout: limits.requestTimeoutMs, maxHeaderSize: maxHeaderBytes },
    options.health,
  );
  let healthPort: number;
  try {
    healthPort = await listen(health, options.healthPort, options.healthHost, options.log);
  } catch (error) {
    admission.close();
    throw error;
  }

  let hasten: (() => void) | undefined;
  let drained: Promise<number> | undefined;
  return {
    admissionPort,
    healthPort,
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
        const cut = await closeGracefully(admission, connections, active, {
          graceMs: limits.idleGraceMs ?? defaultIdleGraceMs,
          timeoutMs: shutdownTimeoutMs,
        });
        health.closeAllConnections();
        await new Promise<void>((resolve) => health.close(() => resolve()));
        certificates.close();
        clientCa?.close();
        return cut;
      })();
      return drained;
    },
  };
}

/** Stops listening, closes connections on which nothing is asked, waits for the rest. @returns how many requests were cut off. */
async function closeGracefully(
  server: Server,
  connections: Connections,
  active: ReadonlySet<ServerResponse>,
  { graceMs, timeoutMs }: { readonly graceMs: number; readonly timeoutMs: number },
): Promise<number> {
  let cut = 0;
  // The close of http.Server would at once cut connections that have asked nothing yet, with the request that is on its way.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
  const grace = setTimeout(() => {
    server.closeIdleConnections();
    connections.closeUnused(graceMs);
  }, graceMs);
  const timer = setTimeout(() => {
    cut = active.size;
    server.closeAllConnections();
    connections.destroyAll();
  }, timeoutMs);
  await closed;
  clearTimeout(grace);
  clearTimeout(timer);
  // Ends what http.Server does by the clock.
  server.close();
  return cut;
}
