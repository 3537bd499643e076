import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Env, findBinaries, findCertManager, kubernetesVersions, wantedKubernetes } from './binaries.ts';

/** The version of a module that a folder of `tools/` pins. */
function pinned(folder: string, module: string): string {
  const text = readFileSync(join(import.meta.dirname, 'tools', folder, 'go.mod'), 'utf8');
  return new RegExp(`^(?:require)?\\s+${module} v(\\S+)`, 'm').exec(text)?.[1] ?? '';
}

let folder: string;
/** No Go there, so nothing can be built. */
let env: Env;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'binaries-'));
  env = { XDG_CACHE_HOME: join(folder, 'cache'), PATH: '/nowhere' };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program that says its version, whatever it is asked. */
function program(path: string, says: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\necho '${says}'\n`);
  chmodSync(path, 0o755);
  return path;
}

const cached = (module: string, name: string): string =>
  join(folder, 'cache', 'osmo-admission-webhook', 'e2e', module, name);

const kubernetesPrograms = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl', 'kubemark'];

const find = (more: Env = {}): ReturnType<typeof findBinaries> => findBinaries({ ...env, ...more }, () => undefined);

/** What it says to a cache that lacks something. */
async function complaint(finding: Promise<unknown>): Promise<string> {
  return finding.then(
    () => '',
    (error: Error) => error.message,
  );
}

/** Fills the cache with the programs of the everyday run; their paths by name. */
async function fillCache(minor = '1.37'): Promise<Readonly<Record<string, string>>> {
  const kubernetes = `kubernetes-${minor}-${pinned(`kubernetes-${minor}`, 'k8s.io/kubernetes')}`;
  const fill = (name: string, module: string): Readonly<Record<string, string>> => ({
    [name]: program(cached(module, name), 'nothing'),
  });
  const pinnedOnes = {
    ...Object.assign({}, ...kubernetesPrograms.map((name) => fill(name, kubernetes))),
    ...fill('etcd', `etcd-${pinned('etcd', 'go.etcd.io/etcd/server/v3')}`),
    ...fill('kwok', `kwok-${pinned('kwok', 'sigs.k8s.io/kwok')}`),
    ...fill('helm', `helm-${pinned('helm', 'helm.sh/helm/v4')}`),
  };
  // Its version is a digest of its text.
  const [, digest] = /^oracle (\w{12}) must be built/.exec(await complaint(find({ E2E_KUBERNETES: minor }))) ?? [];
  return { ...pinnedOnes, ...fill('oracle', `oracle-${digest}`) };
}

describe('wantedKubernetes', () => {
  it('is the first that there is, or the one that is asked for', () => {
    const [first = ''] = Object.keys(kubernetesVersions);
    expect(wantedKubernetes({})).toEqual({ minor: first, version: kubernetesVersions[first] });
    expect(wantedKubernetes({ E2E_KUBERNETES: '1.30' })).toEqual({
      minor: '1.30',
      version: kubernetesVersions['1.30'],
    });
  });

  it('says which there are, asked for another', () => {
    expect(() => wantedKubernetes({ E2E_KUBERNETES: '1.20' })).toThrow(
      'E2E_KUBERNETES is 1.20; there is 1.37 and 1.30',
    );
  });
});

describe('findBinaries', () => {
  for (const minor of Object.keys(kubernetesVersions)) {
    it(`takes those of ${minor} from the cache, each from a folder of the version that its go.mod pins`, async () => {
      const paths = await fillCache(minor);
      expect(await find({ E2E_KUBERNETES: minor })).toEqual(paths);
    });
  }

  it('says what must be built and what for, where there is no Go', async () => {
    const { kubectl = '', kubemark = '' } = await fillCache();
    rmSync(kubectl);
    rmSync(kubemark);
    expect(await complaint(find())).toMatch(
      /^kubectl, kubemark 1\.37\.\d+ must be built, and there is no Go: install Go .* or point KUBEBUILDER_ASSETS at/,
    );
  });

  it('takes from KUBEBUILDER_ASSETS what is of the wanted version, and the rest from the cache', async () => {
    const paths = await fillCache();
    const assets = join(folder, 'assets');
    const etcd = program(join(assets, 'etcd'), `etcd Version: ${pinned('etcd', 'go.etcd.io/etcd/server/v3')}`);
    const kubectl = program(join(assets, 'kubectl'), `Client Version: v${kubernetesVersions['1.37']}`);
    expect(await find({ KUBEBUILDER_ASSETS: assets })).toEqual({ ...paths, etcd, kubectl });
  });

  for (const says of ['Kubernetes v1.36.3', `Kubernetes v${kubernetesVersions['1.37']}0`, '']) {
    it(`leaves one in KUBEBUILDER_ASSETS that says "${says}"`, async () => {
      const paths = await fillCache();
      const assets = join(folder, 'assets');
      program(join(assets, 'kube-apiserver'), says);
      expect(await find({ KUBEBUILDER_ASSETS: assets })).toEqual(paths);
    });
  }
});

describe('findCertManager', () => {
  it('asks for a build of its own, of the version that its go.mod pins and of our text', async () => {
    await fillCache();
    const version = pinned('cert-manager', 'github.com/cert-manager/cert-manager');
    const said = await complaint(findCertManager(env, () => undefined));
    const [, built = ''] = /^cert-manager (\S+) must be built/.exec(said) ?? [];
    expect(built).toMatch(new RegExp(`^${version}-\\w{12}$`));
    const path = program(cached(`cert-manager-${built}`, 'cert-manager'), 'nothing');
    expect(await findCertManager(env, () => undefined)).toEqual({
      program: path,
      definitions: join(dirname(path), 'crds'),
    });
  });
});
