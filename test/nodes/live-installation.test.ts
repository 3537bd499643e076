import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApiClient } from '../../src/cluster/api-client.ts';
import { readLiveInstallation } from '../../src/cluster/live-installation.ts';
import type { LiveInstallation } from '../../src/policy/model/live-configuration.ts';
import { FakeApiServer, status } from './fake-api-server.ts';

let server: FakeApiServer;
let url: string;
beforeEach(async () => {
  server = new FakeApiServer();
  url = await server.start();
});
afterEach(() => server.stop());

async function read(labels: readonly string[] = ['a', 'b/c']): Promise<LiveInstallation> {
  const client = createApiClient(
    { server: url, ca: undefined, clientCert: undefined, clientKey: undefined, token: async () => undefined },
    { idleTimeoutMs: 1_000 },
  );
  try {
    return await readLiveInstallation(client, {
      name: 'osmo-admission-webhook',
      labels,
      exceptNamespaces: ['osmo-workflows', 'kube-system'],
      signal: AbortSignal.timeout(5_000),
    });
  } finally {
    await client.close();
  }
}

/** Answers by path; 404 for the rest. */
function answer(bodies: Readonly<Record<string, unknown>>): void {
  server.misbehave = (request, response) => {
    const body = bodies[new URL(request.url ?? '', url).pathname];
    if (body === undefined) status(response, 404, 'not found');
    else response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    return true;
  };
}

const validating = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/osmo-admission-webhook';
const pods = (...namespaces: readonly string[]): object => ({
  items: namespaces.map((namespace) => ({ metadata: { name: 'p', namespace } })),
});

describe('reading what the API server goes by', () => {
  it('tells what is there, what is not, and where pods bear the labels', async () => {
    answer({ [validating]: { webhooks: [] }, '/api/v1/pods': pods('b', 'a', 'b') });
    const { configurations, labelled } = await read();
    expect([...configurations]).toEqual([
      ['MutatingWebhookConfiguration', { state: 'absent' }],
      ['ValidatingWebhookConfiguration', { state: 'found', object: { webhooks: [] } }],
    ]);
    expect(labelled).toEqual(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    );
  });

  it('asks for metadata only, by label, outside the namespaces given, from the API server’s cache', async () => {
    const accepted: (string | undefined)[] = [];
    server.misbehave = (request, response) => {
      if (request.url?.startsWith('/api/v1/pods') === true) accepted.push(request.headers.accept);
      status(response, 404, 'not found');
      return true;
    };
    await read();
    expect(accepted).toEqual(['application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io']);
    const asked = new URL(server.requests.find((path) => path.startsWith('/api/v1/pods')) ?? '', url).searchParams;
    expect(Object.fromEntries(asked)).toEqual({
      labelSelector: 'a,b/c',
      fieldSelector: 'metadata.namespace!=osmo-workflows,metadata.namespace!=kube-system',
      resourceVersion: '0',
    });
  });

  it('looks for no pods without labels', async () => {
    answer({});
    expect((await read([])).labelled).toEqual(new Map());
    expect(server.requests.some((path) => path.startsWith('/api/v1/pods'))).toBe(false);
  });

  it('says what it may not read, and never throws', async () => {
    server.misbehave = (_request, response) => {
      status(response, 403, 'forbidden: no');
      return true;
    };
    const { configurations, labelled } = await read();
    expect([...configurations.values()]).toEqual(
      Array.from({ length: 2 }, () => ({ state: 'unknown', why: 'HTTP 403: forbidden: no' })),
    );
    expect(labelled).toEqual({ why: 'HTTP 403: forbidden: no' });
  });
});
