import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Agent } from 'node:https';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { serverName } from '../../scripts/server-process.ts';
import type { ReviewHandler } from '../../src/policy/model/handler.ts';
import { createAdmissionEndpoint } from '../../src/server/admission-endpoint.ts';
import { createAdmissionListener, createApp } from '../../src/server/app.ts';
import { createCallers, type UnverifiedReason } from '../../src/server/caller.ts';
import { type Certificates, startCertificates } from '../../src/server/certificates.ts';
import { type ClientCa, startClientCa } from '../../src/server/client-ca.ts';
import { type Check, createHealthApp } from '../../src/server/health.ts';
import { createSelfSigned, type SelfSigned, type SelfSignedOptions } from '../../src/server/self-signed.ts';
import { type Limits, type RunningServer, startServer } from '../../src/server/start-server.ts';

export { serverName };

/** A certificate for loopback that is valid now. */
export function selfSigned(): SelfSigned {
  const now = Date.now();
  return createSelfSigned({
    dnsNames: [serverName],
    ipAddresses: ['127.0.0.1', '::1'],
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 3_600_000),
  });
}

/** A client certificate with its own CA. */
export function clientCertificate(commonName: string, options: Partial<SelfSignedOptions> = {}): SelfSigned {
  const now = Date.now();
  return createSelfSigned({
    ...{ dnsNames: [commonName], ipAddresses: [], usage: 'clientAuth' },
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 3_600_000),
    ...options,
  });
}

export interface TestServer {
  readonly server: RunningServer;
  readonly certificates: Certificates;
  readonly ca: string;
  readonly directory: string;
  /** Kinds of client errors, in order. */
  readonly clientErrors: string[];
  readonly tlsErrors: { count: number };
  /** Why callers were not verified, review by review. */
  readonly unverified: UnverifiedReason[];
  /** Where client certificates are asked for. */
  readonly clientCa: ClientCa | undefined;
  /** Writes another pair of files; the returned CA signs it. */
  replaceCertificate(): string;
  stop(): Promise<void>;
}

export interface TestServerOptions {
  readonly handler?: ReviewHandler;
  readonly limits?: Partial<Limits>;
  readonly checks?: () => readonly Check[];
  /** Asks for client certificates. */
  readonly clients?: {
    /** PEM, the text of `client-ca.crt` in the server's folder. */
    readonly authorities: string;
    readonly allowedNames?: readonly string[];
    readonly required?: boolean;
    /** Milliseconds of the Unix epoch. */
    readonly now?: () => number;
  };
}

const ok: ReviewHandler = (phase, body, _deadlineMs, callerVerified) => ({
  status: 200,
  contentType: 'application/json',
  body: JSON.stringify({ phase, bytes: body.length, callerVerified }),
});

/** The real server on free loopback ports, with a handler that is given. */
export async function startTestServer({
  handler = ok,
  limits,
  checks = () => [],
  clients,
}: TestServerOptions = {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'server-'));
  const certFile = join(directory, 'tls.crt');
  const keyFile = join(directory, 'tls.key');
  const write = (): string => {
    const { certPem, keyPem, caPem } = selfSigned();
    writeFileSync(certFile, certPem);
    writeFileSync(keyFile, keyPem);
    return caPem;
  };
  const ca = write();
  const clientErrors: string[] = [];
  const tlsErrors = { count: 0 };
  const certificates = await startCertificates({
    certFile,
    keyFile,
    pollMs: 25,
    events: false,
    log: () => undefined,
    onReload: () => undefined,
  });
  const unverified: UnverifiedReason[] = [];
  let clientCa: ClientCa | undefined;
  if (clients !== undefined) {
    const file = join(directory, 'client-ca.crt');
    writeFileSync(file, clients.authorities);
    clientCa = await startClientCa({
      ...{ file, pollMs: 25, events: false, log: () => undefined, onReload: () => undefined },
    });
  }
  const callers =
    clients &&
    createCallers({
      allowedNames: new Set(clients.allowedNames),
      required: clients.required ?? false,
      onUnverified: (reason) => void unverified.push(reason),
      log: () => undefined,
      now: clients.now ?? Date.now,
    });
  const onClientError = (kind: string): void => void clientErrors.push(kind);
  const endpoint = createAdmissionEndpoint({
    ...{ handler, onClientError, now: () => performance.now() },
    ...(callers !== undefined && { callers }),
  });
  const server = await startServer({
    listener: createAdmissionListener(endpoint, createApp()),
    health: createHealthApp({ checks, metrics: async () => ({ contentType: 'text/plain', text: '' }) }),
    certificates,
    clientCa,
    host: '127.0.0.1',
    port: 0,
    healthHost: '127.0.0.1',
    healthPort: 0,
    ...(limits !== undefined && { limits }),
    log: () => undefined,
    onClientError,
    onTlsError: () => {
      tlsErrors.count += 1;
    },
  });
  return {
    server,
    certificates,
    ca,
    directory,
    clientErrors,
    tlsErrors,
    unverified,
    clientCa,
    replaceCertificate: write,
    async stop() {
      await server.drain({ shutdownDelayMs: 0, shutdownTimeoutMs: 2_000 });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface Reply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
  /** Whether the connection had carried a request before. */
  readonly reused: boolean;
  /** Whether its TLS session had been one of another connection. */
  readonly resumed: boolean;
}

export interface CallOptions {
  readonly host?: string;
  /** That the certificate must be for. */
  readonly serverName?: string;
  readonly port: number;
  readonly ca: string;
  readonly path?: string;
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent?: Agent;
  /** The client certificate, PEM. */
  readonly client?: { readonly certPem: string; readonly keyPem: string };
  /** Where it comes from. */
  readonly localAddress?: string;
}

/** One HTTPS request whose certificate is checked. */
export function call({
  host = '127.0.0.1',
  serverName: servername = serverName,
  port,
  ca,
  path = '/validate',
  method = 'POST',
  body = '{}',
  headers,
  agent,
  client,
  localAddress,
}: CallOptions): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host,
        port,
        ca,
        servername,
        path,
        method,
        agent: agent ?? false,
        ...(localAddress !== undefined && { localAddress }),
        ...(client !== undefined && { cert: client.certPem, key: client.keyPem }),
        headers: { 'Content-Type': 'application/json', ...headers },
      },
      (response) => {
        let text = '';
        const resumed = response.socket instanceof TLSSocket && response.socket.isSessionReused();
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: text,
            reused: outgoing.reusedSocket,
            resumed,
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(method === 'GET' ? undefined : body);
  });
}

/** Waits until a condition holds; gives up with an error after `attempts` looks 10 ms apart, so that a test cannot pass by waiting. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  attempts = 400,
): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never happened: ${what}`);
}

/** A request whose body has this length, of which so much is sent, and no more by itself. Resolves to its connection, whose errors are nobody's. */
export async function beginReview({
  host = '127.0.0.1',
  port,
  ca,
  localAddress,
  length,
  sent,
}: Pick<CallOptions, 'host' | 'port' | 'ca' | 'localAddress'> & {
  readonly length: number;
  readonly sent: number;
}): Promise<TLSSocket> {
  const raw = connectTcp({ host, port, ...(localAddress !== undefined && { localAddress }) });
  raw.on('error', () => undefined);
  const socket = connectTls({ socket: raw, ca, servername: serverName });
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const head = `POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
  await new Promise((resolve) => socket.write(Buffer.concat([Buffer.from(head), Buffer.alloc(sent, ' ')]), resolve));
  return socket;
}
