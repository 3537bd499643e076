import { createPrivateKey } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeApiServer, status } from './nodes/fake-api-server.ts';
import { eventually } from './server/support.ts';
import { createServeFolder, type Process, type ServeFolder } from './support/serve-process.ts';

/* `serve --tls-self-signed` as a process, before and after there is a certificate. */

const secrets = '/api/v1/namespaces/osmo-admission/secrets';

let folder: ServeFolder;
let api: FakeApiServer;
let refusing: boolean;
beforeEach(async () => {
  folder = createServeFolder();
  api = new FakeApiServer();
  refusing = true;
  api.misbehave = (request, response) => {
    if (!refusing || request.url !== secrets) return false;
    status(response, 403, 'secrets is forbidden');
    return true;
  };
  const server = await api.start();
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: { token: 't' } }],
  };
  folder.write('kubeconfig', stringify(config));
});
afterEach(async () => {
  folder.close();
  await api.stop();
});

function start(): Process {
  return folder.start([
    ...['--tls-self-signed', '--kubeconfig', folder.path('kubeconfig'), '--shutdown-delay', '0s', '--no-pod-search'],
    ...['--host', '127.0.0.1', '--port', '0', '--health-port', '0'],
  ]);
}

/** Where health answers while it waits. */
async function waitingAt(server: Process): Promise<string> {
  const port = (): string =>
    /"message":"waiting for a serving certificate","healthPort":(\d+)/.exec(server.stderr())?.[1] ?? '';
  await eventually('it waits', () => port() !== '');
  return `http://127.0.0.1:${port()}`;
}

describe('serve --tls-self-signed', () => {
  it('without a certificate is alive and not ready, says why, and serves once there is one', async () => {
    const server = start();
    const url = await waitingAt(server);
    await eventually('it says why', async () => (await (await fetch(`${url}/readyz`)).text()).includes('is forbidden'));
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    refusing = false;
    const { health } = await server.ports();
    await eventually('it says what it serves', async () =>
      (await (await fetch(`http://127.0.0.1:${health}/readyz`)).text()).includes('[+] certificate: expires'),
    );
    const made = [...api.leases].filter(([path]) => path.startsWith(secrets));
    expect(made).toHaveLength(2);
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stdout()).toContain('"CertificateRecord"');
    for (const [, secret] of made) {
      const { 'tls.key': key = '' }: Readonly<Record<string, string>> = Object(secret.data);
      const pem = Buffer.from(key, 'base64').toString();
      expect(createPrivateKey(pem).asymmetricKeyType).toBe('ec');
      for (const text of [server.stdout(), server.stderr()]) expect(text).not.toContain(pem.split('\n')[1]);
    }
    const lease = api.leases.get(
      '/apis/coordination.k8s.io/v1/namespaces/osmo-admission/leases/osmo-admission-webhook-certificates',
    );
    expect(Object(lease?.spec).holderIdentity).toBeUndefined();
  });

  it('that is told to end while it waits ends with code 0', async () => {
    const server = start();
    await waitingAt(server);
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  it('that cannot open its audit log ends, though certificates are kept by then', async () => {
    refusing = false;
    const server = folder.start([
      ...['--tls-self-signed', '--kubeconfig', folder.path('kubeconfig'), '--audit-log', '/nowhere/audit.log'],
      ...['--host', '127.0.0.1', '--port', '0', '--health-port', '0'],
    ]);
    expect(await server.exit).toBe(1);
    expect(server.stderr()).toContain('ENOENT');
  });
});
