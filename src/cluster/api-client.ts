import type { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
// Deep imports: the package's index loads clients for every API, 80 MiB of memory that nobody here uses.
import { Watch } from '@kubernetes/client-node/dist/watch.js';
import { Agent, fetch } from 'undici';
import { field, isObject } from '../policy/model/read.ts';
import type { ApiAccess } from './access.ts';

/** A request that the API server answered with an error, or did not answer. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** What `Retry-After` asked for, in milliseconds; 0 where it did not. */
  readonly retryAfterMs: number;
  constructor(status: number, message: string, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

export interface ApiClient {
  /** GET of one path, parsed. @param accept another form of the answer than the usual. @throws ApiError */
  get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal, accept?: string): Promise<unknown>;
  /** A request that writes. @param contentType of the body; JSON where it is left out. @returns the parsed answer. @throws ApiError */
  send(
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body: unknown,
    signal: AbortSignal,
    contentType?: string,
  ): Promise<unknown>;
  /**
   * Watches a path until the API server ends the stream (resolves) or something fails (ApiError).
   * @param onOpen called once the stream is there.
   */
  watch(
    path: string,
    query: Readonly<Record<string, string>>,
    callbacks: WatchCallbacks,
    signal: AbortSignal,
  ): Promise<void>;
  close(): Promise<void>;
}

export interface WatchCallbacks {
  readonly onOpen: () => void;
  readonly onEvent: (event: WatchEvent) => void;
}

export interface ApiClientOptions {
  /** A watch without a byte for this long is taken for dead: a lost connection does not always say so. */
  readonly idleTimeoutMs: number;
}

export function createApiClient(access: ApiAccess, { idleTimeoutMs }: ApiClientOptions): ApiClient {
  const dispatcher = new Agent({
    connect: {
      ...(access.ca !== undefined && { ca: access.ca }),
      ...(access.clientCert !== undefined && { cert: access.clientCert }),
      ...(access.clientKey !== undefined && { key: access.clientKey }),
    },
    bodyTimeout: 0,
  });
  /** The two methods of KubeConfig that Watch calls. The class itself costs 50 MiB of memory and knows no rotation of a token in use. */
  const config = {
    getCurrentCluster: () => ({ name: 'cluster', server: access.server, skipTLSVerify: false }),
    applySecurityAuthentication: async (context: RequestContext) => {
      const token = await access.token();
      if (token !== undefined) context.setHeaderParam('Authorization', `Bearer ${token}`);
      context.setDispatcher(dispatcher);
    },
  };
  const request = async (
    method: string,
    url: URL,
    given: Readonly<Record<string, string>>,
    signal: AbortSignal,
    sent?: string,
  ): Promise<unknown> => {
    try {
      const token = await access.token();
      const headers = { ...given, ...(token !== undefined && { Authorization: `Bearer ${token}` }) };
      const init = { method, dispatcher, headers, signal, redirect: 'error' as const };
      const response = await fetch(url, sent === undefined ? init : { ...init, body: sent });
      const body = await response.text();
      if (response.status === 200 || response.status === 201) return JSON.parse(body);
      throw new ApiError(
        response.status,
        `HTTP ${response.status}: ${messageOf(body)}`,
        retryAfterOf(response.headers.get('retry-after')),
      );
    } catch (error) {
      throw toApiError(error);
    }
  };
  return {
    get(path, query, signal, accept = 'application/json') {
      const url = new URL(access.server + path);
      for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
      return request('GET', url, { Accept: accept }, signal);
    },
    send: (method, path, body, signal, contentType = 'application/json') =>
      request(
        method,
        new URL(access.server + path),
        { Accept: 'application/json', 'Content-Type': contentType },
        signal,
        JSON.stringify(body),
      ),
    watch(path, query, { onOpen, onEvent }, signal) {
      const watch = new Watch(config as unknown as KubeConfig);
      // Its own limit of 30 s is shorter than the time between two bookmarks of a quiet cluster, and has no public name.
      Reflect.set(watch, 'requestTimeoutMs', idleTimeoutMs);
      return new Promise((resolve, reject) => {
        let controller: AbortController | undefined;
        let ended = false;
        const done = (error: unknown): void => {
          ended = true;
          signal.removeEventListener('abort', abort);
          if (error === null || error === undefined) resolve();
          else reject(toApiError(error));
        };
        // The client hands out its controller only once the answer has begun: until then there is nothing to abort, only to leave.
        const abort = (): void => {
          if (controller === undefined) done(new ApiError(0, 'the watch was stopped'));
          else controller.abort();
        };
        signal.addEventListener('abort', abort);
        watch
          .watch(path, query, (type: string, object: unknown) => onEvent({ type, object }), done)
          .then((started) => {
            controller = started;
            if (signal.aborted) controller.abort();
            else if (!ended) onOpen();
          })
          .catch(done);
      });
    },
    close: () => dispatcher.destroy(),
  };
}

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof Error)) return new ApiError(0, String(error));
  const status: unknown = Reflect.get(error, 'statusCode');
  // fetch says "fetch failed" and keeps the reason in `cause`.
  const reason = error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
  return new ApiError(
    typeof status === 'number' ? status : 0,
    typeof status === 'number' ? `HTTP ${status}: ${reason}` : reason,
  );
}

/** The message of a Status, or the start of whatever else came. */
function messageOf(body: string): string {
  try {
    const status: unknown = JSON.parse(body);
    const message = isObject(status) ? field(status, 'message') : undefined;
    if (typeof message === 'string') return message.slice(0, 256);
  } catch {
    // No Status: a proxy's page, perhaps.
  }
  return body.slice(0, 128);
}

function retryAfterOf(header: string | null): number {
  const seconds = Number(header ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
