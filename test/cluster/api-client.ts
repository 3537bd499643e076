import { Agent, request } from 'node:https';
import type { KubeObject } from '../support/fixtures.ts';

/** A plain answer of the API server. */
export interface ApiAnswer {
  readonly code: number;
  // biome-ignore lint/suspicious/noExplicitAny: objects of every kind, read by tests.
  readonly body: any;
  readonly warnings: readonly string[];
  /** Names the request in the API server's audit log. */
  readonly auditId: string;
}

export interface ApiClient {
  /**
   * One request, over kept connections. `as` impersonates a user, with groups.
   * @param body an object, sent as JSON; a patch needs its content type.
   */
  send(method: string, path: string, body?: unknown, options?: SendOptions): Promise<ApiAnswer>;
  /** The items of a list. @throws Error with the API server's answer where it gives none. */
  list(path: string): Promise<readonly KubeObject[]>;
  close(): void;
}

export interface SendOptions {
  readonly contentType?: string;
  readonly as?: { readonly user: string; readonly groups?: readonly string[] };
}

/** For what kubectl is too slow for: thousands of requests. */
export function createApiClient({
  server,
  ca,
  token,
}: {
  readonly server: string;
  readonly ca: string;
  readonly token: string;
}): ApiClient {
  const agent = new Agent({ keepAlive: true, ca, maxSockets: 300 });
  const client: ApiClient = {
    async list(path) {
      const { code, body } = await client.send('GET', path);
      if (code !== 200) throw new Error(`GET ${path}: ${code} ${JSON.stringify(body)}`);
      return body.items;
    },
    send: (method, path, body, { contentType = 'application/json', as } = {}) =>
      new Promise((resolve, reject) => {
        const sent = body === undefined ? undefined : JSON.stringify(body);
        const headers = {
          Authorization: `Bearer ${token}`,
          Accept: 'application/json',
          // Node gives the body of a DELETE no length of its own.
          ...(sent !== undefined && { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(sent) }),
          ...(as !== undefined && { 'Impersonate-User': as.user }),
          ...(as?.groups !== undefined && { 'Impersonate-Group': [...as.groups] }),
        };
        const call = request(new URL(path, server), { method, headers, agent }, (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () => {
            const parsed: unknown = text.startsWith('{') ? JSON.parse(text) : text;
            resolve({
              code: response.statusCode ?? 0,
              body: parsed,
              warnings: warningsOf(response.headers.warning),
              auditId: String(response.headers['audit-id']),
            });
          });
          response.on('error', reject);
        });
        call.on('error', reject);
        call.end(sent);
      }),
    close: () => agent.destroy(),
  };
  return client;
}

/** `299 - "text"`, several joined by a comma. */
function warningsOf(header: string | undefined): readonly string[] {
  return [...(header ?? '').matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text.replaceAll('\\"', '"'));
}
