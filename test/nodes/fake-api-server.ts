import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { apply, type Operation } from '../support/json-patch.ts';

export interface FakeNode {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly creationTimestamp?: string;
    readonly resourceVersion?: string;
  };
  readonly [key: string]: unknown;
}

export interface Watcher {
  readonly path: string;
  /** Where the watch was asked to start. */
  readonly resourceVersion: string;
  readonly query: URLSearchParams;
  event(type: string, object: unknown): void;
  /** Raw bytes, for lines that are no events. */
  raw(text: string): void;
  /** Ends the stream as a server does after timeoutSeconds. */
  end(): void;
  /** Drops the connection. */
  drop(): void;
  closed(): boolean;
}

/** A request that wrote, or tried to. */
export interface FakeWrite {
  readonly method: string;
  readonly path: string;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape.
  readonly body: any;
}

type Misbehave = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Paths of objects that are made, read and written one by one. */
const single =
  /^\/apis\/(coordination|admissionregistration)\.k8s\.io\/|^\/api\/v1\/namespaces\/[^/]+\/(secrets|configmaps)\//;

/** An API server of nodes, and of Leases, Secrets, ConfigMaps and webhook configurations by name, and of what a test adds, on a loopback port, that can be told to misbehave. It shares nothing with the product's client. */
export class FakeApiServer {
  readonly requests: string[] = [];
  readonly writes: FakeWrite[] = [];
  readonly watchers: Watcher[] = [];
  nodes: FakeNode[] = [];
  /** Leases and the other objects that are read one by one, by path. */
  readonly leases = new Map<string, FakeNode>();
  /** Given to a Lease that is made. */
  creationTimestamp = '2026-11-25T10:00:00Z';
  /** Lists of other resources by path; below `/apis/resource.k8s.io/` a path that is not here is not served. */
  readonly others = new Map<string, FakeNode[]>();
  resourceVersion = 100;
  pageSize = 2;
  token: string | undefined;
  /** Answers a request itself and returns true, or leaves it alone. */
  misbehave: Misbehave = () => false;
  private readonly server = createServer((request, response) => this.answer(request, response));

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return `http://127.0.0.1:${address.port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  lists(): readonly string[] {
    return this.requests.filter((url) => !url.includes('watch=true') && url.includes('limit='));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://fake');
    this.requests.push(request.url ?? '');
    if (this.misbehave(request, response)) return;
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      status(response, 401, 'Unauthorized');
      return;
    }
    const items = this.others.get(url.pathname) ?? this.nodes;
    if (items === this.nodes && url.pathname.startsWith('/apis/resource.k8s.io/')) {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('404 page not found\n');
      return;
    }
    if (url.searchParams.get('watch') === 'true') {
      this.watch(url, response);
      return;
    }
    if (request.method !== 'GET') {
      void this.write(request, url.pathname, response);
      return;
    }
    if (single.test(url.pathname)) {
      const lease = this.leases.get(url.pathname);
      if (lease === undefined) status(response, 404, `${url.pathname} not found`);
      else json(response, 200, lease);
      return;
    }
    const name = /^\/api\/v1\/nodes\/([^/]+)$/.exec(url.pathname)?.[1];
    if (name !== undefined) {
      const node = this.nodes.find(({ metadata }) => metadata.name === decodeURIComponent(name));
      if (node === undefined) status(response, 404, `nodes "${name}" not found`);
      else json(response, 200, { kind: 'Node', apiVersion: 'v1', ...node });
      return;
    }
    const from = Number(url.searchParams.get('continue') ?? 0);
    const more = from + this.pageSize < items.length ? { continue: String(from + this.pageSize) } : {};
    json(response, 200, {
      kind: 'List',
      apiVersion: 'v1',
      metadata: { resourceVersion: String(this.resourceVersion), ...more },
      items: items.slice(from, from + this.pageSize),
    });
  }

  /** Makes, replaces, patches or deletes, each only where it is written against the live resourceVersion. */
  private async write(request: IncomingMessage, path: string, response: ServerResponse): Promise<void> {
    const { method = '' } = request;
    const body = await bodyOf(request);
    this.writes.push({ method, path, body });
    if (method === 'POST') {
      const made = `${path}/${body.metadata.name}`;
      if (this.leases.has(made)) return status(response, 409, 'already exists');
      this.leases.set(made, this.versioned(merged(body, { metadata: { creationTimestamp: this.creationTimestamp } })));
      return json(response, 201, this.leases.get(made));
    }
    const index = this.nodes.findIndex(({ metadata }) => path === `/api/v1/nodes/${metadata.name}`);
    const live = this.leases.get(path) ?? this.nodes[index];
    if (live === undefined) return status(response, 404, 'not found');
    if (method === 'DELETE') {
      this.leases.delete(path);
      return json(response, 200, {});
    }
    if (request.headers['content-type'] === 'application/json-patch+json') {
      const patched = applied(live, body);
      if (patched === undefined) return status(response, 422, 'the test failed');
      this.leases.set(path, this.versioned(patched));
      return json(response, 200, this.leases.get(path));
    }
    const version = body.metadata?.resourceVersion;
    if (version !== undefined && version !== live.metadata.resourceVersion) {
      return status(response, 409, 'the object has been modified');
    }
    const written = this.versioned(method === 'PATCH' ? merged(live, body) : body);
    if (this.leases.has(path)) this.leases.set(path, written);
    else this.nodes[index] = written;
    json(response, 200, written);
  }

  /** Somebody else's write, by merge patch. */
  patchNode(name: string, patch: object): void {
    this.nodes = this.nodes.map((node) => (node.metadata.name === name ? this.versioned(merged(node, patch)) : node));
  }

  /** The object as a write leaves it. */
  versioned<T extends object>(object: T): T {
    this.resourceVersion += 1;
    return merged(object, { metadata: { resourceVersion: String(this.resourceVersion) } });
  }

  private watch(url: URL, response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
    this.watchers.push({
      path: url.pathname,
      resourceVersion: url.searchParams.get('resourceVersion') ?? '',
      query: url.searchParams,
      event: (type, object) => void response.write(`${JSON.stringify({ type, object })}\n`),
      raw: (text) => void response.write(text),
      end: () => void response.end(),
      drop: () => void response.destroy(),
      closed: () => response.destroyed || response.closed,
    });
  }
}

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape.
async function bodyOf(request: IncomingMessage): Promise<any> {
  return JSON.parse(await text(request));
}

/** RFC 6902; undefined where a test of it fails. */
function applied(live: FakeNode, patch: readonly Operation[]): FakeNode | undefined {
  try {
    return apply(live, patch) as FakeNode;
  } catch {
    return undefined;
  }
}

/** RFC 7396. */
// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape.
function merged(target: any, patch: any): any {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

function json(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

export function status(
  response: ServerResponse,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(code, { 'Content-Type': 'application/json', ...headers })
    .end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code }));
}
