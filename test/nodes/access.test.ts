import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { loadInClusterAccess, loadKubeconfigAccess } from '../../src/cluster/access.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'access-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const put = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};

const kubeconfig = (cluster: object, user: object = {}): string =>
  put(
    'kubeconfig',
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'lab',
      contexts: [
        { name: 'other', context: { cluster: 'x', user: 'x' } },
        { name: 'lab', context: { cluster: 'c', user: 'u' } },
      ],
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:6443/', ...cluster } }],
      users: [{ name: 'u', user }],
    }),
  );

describe('access by kubeconfig', () => {
  it('takes the current context, files relative to itself, and data', async () => {
    put('ca.crt', 'CA');
    const access = await loadKubeconfigAccess(
      kubeconfig(
        { 'certificate-authority': 'ca.crt' },
        {
          'client-certificate-data': Buffer.from('CERT').toString('base64'),
          'client-key-data': Buffer.from('KEY').toString('base64'),
        },
      ),
    );
    expect(access).toMatchObject({ server: 'https://127.0.0.1:6443', ca: 'CA', clientCert: 'CERT', clientKey: 'KEY' });
    expect(await access.token()).toBeUndefined();
  });

  it('reads a token file again each time, and a token as it is', async () => {
    const path = put('token', 'one\n');
    const { token } = await loadKubeconfigAccess(kubeconfig({}, { tokenFile: path }));
    expect(await token()).toBe('one');
    put('token', 'two\n');
    expect(await token()).toBe('two');
    expect(await (await loadKubeconfigAccess(kubeconfig({}, { token: 'fixed' }))).token()).toBe('fixed');
  });

  const bad: readonly (readonly [string, () => string, RegExp])[] = [
    ['no file', () => join(directory, 'none'), /none: cannot be read as a kubeconfig/],
    ['no YAML', () => put('kubeconfig', 'a: ['), /kubeconfig: cannot be read as a kubeconfig/],
    [
      'an unknown context',
      () => put('kubeconfig', 'current-context: nope\ncontexts: []\n'),
      /contexts: has no entry named "nope"/,
    ],
    [
      'no TLS verification',
      () => kubeconfig({ 'insecure-skip-tls-verify': true }),
      /insecure-skip-tls-verify: is not supported/,
    ],
    ['an exec plugin', () => kubeconfig({}, { exec: { command: 'aws' } }), /user\.exec: is not supported/],
    [
      'a CA file that is not there',
      () => kubeconfig({ 'certificate-authority': 'gone.crt' }),
      /gone\.crt: cannot be read/,
    ],
    ['a server of a wrong type', () => kubeconfig({ server: 7 }), /cluster\.server: must be a string/],
  ];
  for (const [name, file, message] of bad)
    it(`refuses ${name}`, () => expect(loadKubeconfigAccess(file())).rejects.toThrow(message));
});

describe('access inside a cluster', () => {
  it('takes address, CA and token of the service account, IPv6 too', async () => {
    put('ca.crt', 'CA');
    put('token', 'T');
    const access = await loadInClusterAccess(
      { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' },
      directory,
    );
    expect([access.server, access.ca, await access.token()]).toEqual(['https://[fd00::1]:443', 'CA', 'T']);
  });

  it('says what to give outside of one', () =>
    expect(loadInClusterAccess({})).rejects.toThrow(/--kubeconfig FILE, or --nodes FILE/));
});
