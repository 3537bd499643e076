import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:https';

/** `response` of an AdmissionReview, as a client reads it. */
export interface ReviewResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  readonly patch?: string;
  readonly warnings?: readonly string[];
}

export interface ReviewClient {
  /** Sends an object as the API server would when it is created. */
  review(phase: 'mutate' | 'validate', object: unknown): Promise<ReviewResponse>;
  close(): void;
}

export interface ReviewClientOptions {
  readonly port: number;
  /** PEM of the CA that the server's certificate is checked against. */
  readonly ca: string;
  /** The name in SNI and Host, as the API server sends it: `<service>.<namespace>.svc`. */
  readonly serverName: string;
  /** Sent as `request.userInfo.username`. */
  readonly username?: string;
}

/** OSMO's own worker, by the documentation's names. */
const worker = 'system:serviceaccount:osmo-operator:osmo-operator-backend-worker';

/** A client that talks to the webhook as kube-apiserver does: HTTP/1.1, kept-alive connections, `?timeout=`. */
export function createReviewClient({ port, ca, serverName, username = worker }: ReviewClientOptions): ReviewClient {
  const agent = new Agent({ keepAlive: true, ca, servername: serverName });
  return {
    review(phase, object) {
      const body = JSON.stringify(buildReview(object, username));
      return new Promise((resolve, reject) => {
        const call = request(
          {
            agent,
            host: '127.0.0.1',
            port,
            method: 'POST',
            path: `/${phase}?timeout=5s`,
            headers: {
              Host: serverName,
              'Content-Type': 'application/json',
              'Content-Length': Buffer.byteLength(body),
              'User-Agent': 'kube-apiserver-admission',
            },
          },
          (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (chunk: string) => {
              text += chunk;
            });
            response.on('error', reject);
            response.on('end', () => {
              if (response.statusCode !== 200) reject(new Error(`HTTP ${response.statusCode}: ${text}`));
              else resolve(JSON.parse(text).response);
            });
          },
        );
        call.on('error', reject);
        call.end(body);
      });
    },
    close: () => agent.destroy(),
  };
}

/** The AdmissionReview of a CREATE. */
export function buildReview(object: unknown, username: string): Readonly<Record<string, unknown>> {
  const metadata: unknown = Reflect.get(Object(object), 'metadata');
  const kind: unknown = Reflect.get(Object(object), 'kind');
  const pod = kind === 'Pod';
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: randomUUID(),
      kind: { group: '', version: 'v1', kind },
      resource: { group: '', version: 'v1', resource: pod ? 'pods' : 'nodes' },
      requestKind: { group: '', version: 'v1', kind },
      requestResource: { group: '', version: 'v1', resource: pod ? 'pods' : 'nodes' },
      name: Reflect.get(Object(metadata), 'name') ?? '',
      ...(pod && { namespace: Reflect.get(Object(metadata), 'namespace') ?? 'default' }),
      operation: 'CREATE',
      userInfo: pod
        ? { username, groups: ['system:serviceaccounts', 'system:authenticated'] }
        : {
            username: `system:node:${Reflect.get(Object(metadata), 'name')}`,
            groups: ['system:nodes', 'system:authenticated'],
          },
      object,
      oldObject: null,
      dryRun: false,
      options: { apiVersion: 'meta.k8s.io/v1', kind: 'CreateOptions' },
    },
  };
}
