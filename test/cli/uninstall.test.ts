import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeApiServer } from '../nodes/fake-api-server.ts';
import { runCli } from '../support/cli.ts';

const secrets = '/api/v1/namespaces/here/secrets';
const leases = '/apis/coordination.k8s.io/v1/namespaces/here/leases';

describe('osmo-admission uninstall', () => {
  const server = new FakeApiServer();
  let folder: string;
  let kubeconfig: string;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'uninstall-'));
    kubeconfig = join(folder, 'kubeconfig');
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'a',
      contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
      clusters: [{ name: 'a', cluster: { server: await server.start() } }],
      users: [{ name: 'a', user: { token: 't' } }],
    };
    writeFileSync(kubeconfig, stringify(config));
  });
  afterEach(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  it('takes Leases, and Secrets that the server or cert-manager made for us, and leaves those of others', {
    timeout: 30_000,
  }, async () => {
    const put = (path: string, metadata: object): void => {
      const name = path.split('/').at(-1) ?? '';
      server.leases.set(path, { metadata: { name, ...metadata } });
    };
    put(`${leases}/osmo-admission-webhook-certificates`, {});
    put(`${secrets}/osmo-admission-webhook-tls`, {
      annotations: { 'cert-manager.io/certificate-name': 'osmo-admission-webhook' },
    });
    put(`${secrets}/osmo-admission-webhook-ca`, {
      annotations: { 'cert-manager.io/certificate-name': 'somebody-elses' },
    });
    const args = ['uninstall', '--kubeconfig', kubeconfig, '--namespace', 'here'];
    const { code, stdout } = await runCli(args);
    expect(stdout.trim().split('\n')).toEqual([
      'deleted lease/osmo-admission-webhook-certificates',
      'deleted secret/osmo-admission-webhook-tls',
    ]);
    expect(code).toBe(0);
    expect([...server.leases.keys()]).toEqual([`${secrets}/osmo-admission-webhook-ca`]);
  });

  it('as the Job of helm uninstall touches nothing while the policy’s ConfigMap is there, and all once it has gone', {
    timeout: 30_000,
  }, async () => {
    const configuration =
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/osmo-admission-webhook';
    const configMap = '/api/v1/namespaces/here/configmaps/osmo-admission-webhook-policy';
    for (const path of [configuration, configMap]) server.leases.set(path, { metadata: { name: 'any' } });
    const args = ['uninstall', '--kubeconfig', kubeconfig, '--namespace', 'here', '--unless-installed'];
    const before = server.writes.length;
    const { code, stderr } = await runCli(args);
    expect(stderr).toContain(`${configMap} is there, so the installation is`);
    expect(code).toBe(2);
    expect(server.writes).toHaveLength(before);
    server.leases.delete(configMap);
    expect(await runCli(args)).toMatchObject({
      code: 0,
      stdout: 'deleted validatingwebhookconfigurations/osmo-admission-webhook\n',
    });
  });

  it('goes to the cluster that it runs in where no other is named, and says what it lacks where it runs in none', async () => {
    expect(await runCli(['uninstall'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('give the cluster: --kubeconfig FILE'),
    });
    // Nothing mounts a token here.
    const inside = await runCli(['uninstall'], { env: { KUBERNETES_SERVICE_HOST: '127.0.0.1' } });
    expect(inside).toMatchObject({ code: 2, stderr: expect.stringContaining('/var/run/secrets/kubernetes.io') });
  });
});
