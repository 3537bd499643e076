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

const validating = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/osmo-admission-webhook';
describe('reading what the API server goes by', () => {
  it('tells what is there, what is not, and where pods bear the labels', async () => {
    const holders = ['b', 'a'];
    server.misbehave = (request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '', url);
      if (pathname === validating) response.writeHead(200).end(JSON.stringify({ webhooks: [] }));
      else if (pathname === '/api/v1/pods') {
        const except = searchParams.get('fieldSelector') ?? '';
        const next = holders.find((name) => !except.includes(`metadata.namespace!=${name}`));
        const items = next === undefined ? [] : [{ metadata: { name: 'p', namespace: next } }];
        response.writeHead(200).end(JSON.stringify({ items }));
      } else status(response, 404, 'not found');
      return true;
    };
    const { configurations, labelled } = await read();
    expect([...configurations]).toEqual([
      ['MutatingWebhookConfiguration', { state: 'absent' }],
      ['ValidatingWebhookConfiguration', { state: 'found', object: { webhooks: [] } }],
    ]);
    expect(labelled).toEqual({ state: 'found', namespaces: ['a', 'b'] });
  });

  it('asks for the metadata of one pod at a time, by label, outside the namespaces given', async () => {
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
      limit: '1',
      labelSelector: 'a,b/c',
      fieldSelector: 'metadata.namespace!=osmo-workflows,metadata.namespace!=kube-system',
    });
  });

  it('gives up on an API server that names a namespace again and again, and stops at twenty', async () => {
    let asked = 0;
    const answer = (namespaceOf: () => string): void => {
      server.misbehave = (_request, response) => {
        asked += 1;
        response.writeHead(200).end(JSON.stringify({ items: [{ metadata: { namespace: namespaceOf() } }] }));
        return true;
      };
    };
    answer(() => 'same');
    expect((await read()).labelled).toMatchObject({ state: 'unknown' });
    asked = 0;
    answer(() => `n-${asked}`);
    const { labelled } = await read();
    expect(labelled.state === 'found' && labelled.namespaces.length).toBe(20);
  });

  it('looks for no pods without labels', async () => {
    expect((await read([])).labelled).toEqual({ state: 'found', namespaces: [] });
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
    expect(labelled).toEqual({ state: 'unknown', why: 'HTTP 403: forbidden: no' });
  });
});
