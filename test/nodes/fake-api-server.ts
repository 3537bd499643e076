import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface FakeNode {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
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

type Misbehave = (request: IncomingMessage, response: ServerResponse) => boolean;

/** An API server of nodes, and of what a test adds, on a loopback port, that can be told to misbehave. It shares nothing with the product's client. */
export class FakeApiServer {
  readonly requests: string[] = [];
  readonly watchers: Watcher[] = [];
  nodes: FakeNode[] = [];
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
