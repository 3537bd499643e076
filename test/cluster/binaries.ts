import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';

/** The programs that a test cluster is made of, by name, with their paths. */
export type Binaries = Readonly<Record<Program, string>>;

/** cert-manager's controllers, and the definitions of its resources. */
export interface CertManagerFiles {
  readonly program: string;
  /** A folder of YAML files. */
  readonly definitions: string;
}

export type Program =
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubectl'
  /** Real kubelet code without a container runtime. */
  | 'kubemark'
  /** Keeps nodes that nobody runs Ready. */
  | 'kwok'
  | 'helm'
  /** Kubernetes' own scheduling helpers, asked over standard input. */
  | 'oracle';

const tools = join(import.meta.dirname, 'tools');

/** A Go module below `tools/`, which pins everything that its programs are built from. */
interface Module {
  readonly folder: string;
  readonly version: string;
  readonly packages: Readonly<Record<string, string>>;
  /** A folder of a module that it requires, copied beside its programs under its own name. */
  readonly copied?: { readonly module: string; readonly folder: string };
  /** What the linker writes into it. */
  readonly stamps?: readonly string[];
}

/** Releases of Kubernetes that the tests can run on, by minor version; each has its module. The first is the default. */
export const kubernetesVersions: Readonly<Record<string, string>> = { '1.37': '1.37.2', '1.30': '1.30.14' };

const kubernetes = (minor: string, version: string): Module => ({
  folder: `kubernetes-${minor}`,
  version,
  // Without a version of its own a component says v0.0.0, and the API server's feature gates and our own rules read it.
  stamps: ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((name) => [
    `${name}.gitVersion=v${version}`,
    `${name}.gitMajor=${version.split('.')[0]}`,
    `${name}.gitMinor=${version.split('.')[1]}`,
  ]),
  packages: Object.fromEntries(
    ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl', 'kubemark'].map((name) => [
      name,
      `k8s.io/kubernetes/cmd/${name}`,
    ]),
  ),
});

const helmVersion = '4.3.1';
const certManagerVersion = '1.21.2';

const otherModules: readonly Module[] = [
  { folder: 'etcd', version: '3.7.3', packages: { etcd: 'go.etcd.io/etcd/server/v3' } },
  { folder: 'kwok', version: '0.8.0', packages: { kwok: 'sigs.k8s.io/kwok/cmd/kwok' } },
  {
    folder: 'helm',
    version: helmVersion,
    packages: { helm: 'helm.sh/helm/v4/cmd/helm' },
    // It says v4.3 otherwise.
    stamps: [`helm.sh/helm/v4/internal/version.version=v${helmVersion}`],
  },
  // Our own text: a change of it is another version.
  { folder: 'oracle', version: digestOf('oracle/main.go', 'oracle/go.sum'), packages: { oracle: '.' } },
];

/** For the full run alone, which waits for it; ours as the oracle is. */
const certManager: Module = {
  folder: 'cert-manager',
  version: `${certManagerVersion}-${digestOf('cert-manager/main.go', 'cert-manager/go.sum')}`,
  packages: { 'cert-manager': '.' },
  copied: { module: 'github.com/cert-manager/cert-manager', folder: 'deploy/crds' },
  stamps: [`github.com/cert-manager/cert-manager/pkg/util.AppVersion=v${certManagerVersion}`],
};

export type Env = Readonly<Record<string, string | undefined>>;

/** The release of Kubernetes that `E2E_KUBERNETES` asks for, such as 1.30. @throws Error for one that no module is there for. */
export function wantedKubernetes({ E2E_KUBERNETES: minor = '1.37' }: Env): { minor: string; version: string } {
  const version = kubernetesVersions[minor];
  if (version === undefined) {
    throw new Error(`E2E_KUBERNETES is ${minor}; there is ${Object.keys(kubernetesVersions).join(' and ')}`);
  }
  return { minor, version };
}

/**
 * Finds the programs: in KUBEBUILDER_ASSETS where they are of the wanted version, else in a cache outside the clone, where those that
 * are missing are built from Go modules. Cold, that takes many minutes; then nothing.
 * @throws Error where one must be built and there is no Go, or it does not build.
 */
export async function findBinaries(env: Env, say: (line: string) => void): Promise<Binaries> {
  const { minor, version } = wantedKubernetes(env);
  let found: Partial<Binaries> = {};
  for (const module of [kubernetes(minor, version), ...otherModules])
    found = { ...found, ...(await findModule(module, env, say)) };
  return found as Binaries;
}

/** Finds or builds cert-manager, which only the full run needs, as `findBinaries` does the others. */
export async function findCertManager(env: Env, say: (line: string) => void): Promise<CertManagerFiles> {
  await findModule(certManager, env, say);
  const cache = cacheOf(certManager, env);
  return { program: join(cache, 'cert-manager'), definitions: join(cache, 'crds') };
}

async function findModule(
  module: Module,
  env: Env,
  say: (line: string) => void,
): Promise<Readonly<Record<string, string>>> {
  const cache = cacheOf(module, env);
  const found: Record<string, string> = {};
  const missing: string[] = [];
  for (const name of Object.keys(module.packages)) {
    const given = env.KUBEBUILDER_ASSETS === undefined ? undefined : join(env.KUBEBUILDER_ASSETS, name);
    if (given !== undefined && existsSync(given) && isVersion(given, module.version)) found[name] = given;
    else {
      found[name] = join(cache, name);
      if (!existsSync(join(cache, name))) missing.push(name);
    }
  }
  if (missing.length > 0) await build(module, missing, { cache, env, say });
  return found;
}

function digestOf(...files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(tools, file)));
  return hash.digest('hex').slice(0, 12);
}

/** Where programs of the tests are kept, outside the clone. */
export function cacheFolder(env: Env): string {
  return join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'osmo-admission-webhook', 'e2e');
}

function cacheOf({ folder, version }: Module, env: Env): string {
  return join(cacheFolder(env), `${folder}-${version}`);
}

function isVersion(path: string, version: string): boolean {
  const asked = { kubectl: ['version', '--client'], helm: ['version'] }[basename(path)] ?? ['--version'];
  const said = spawnSync(path, asked, { encoding: 'utf8' });
  return `${said.stdout}${said.stderr}`.split(/[^\w.]+/).some((word) => word === version || word === `v${version}`);
}

async function build(
  module: Module,
  names: readonly string[],
  { cache, env, say }: { readonly cache: string; readonly env: Env; readonly say: (line: string) => void },
): Promise<void> {
  const what = `${names.join(', ')} ${module.version}`;
  if (spawnSync('go', ['version'], { env }).status !== 0) {
    throw new Error(
      `${what} must be built, and there is no Go: install Go 1.26 or later, or point KUBEBUILDER_ASSETS at a folder that holds them`,
    );
  }
  mkdirSync(cache, { recursive: true });
  // Beside their place and moved when complete: a run that is broken off, or a second one, leaves no half a program there.
  const half = mkdtempSync(join(cache, '.build-'));
  const startedMs = Date.now();
  const seconds = (): number => Math.round((Date.now() - startedMs) / 1000);
  const progress = setInterval(() => say(`building ${what} from Go modules (once): ${seconds()} s so far`), 15_000);
  try {
    await goBuild(module, names, half, env);
    // Before the programs, by which it is known that all is there.
    copyFolder(module, half, cache, env);
    for (const name of names) renameSync(join(half, name), join(cache, name));
  } finally {
    clearInterval(progress);
    rmSync(half, { recursive: true, force: true });
  }
  if (seconds() > 2) say(`built ${what} in ${seconds()} s`);
}

/** Each file of it is moved when it is complete, as a program is. */
function copyFolder({ folder, copied }: Module, half: string, cache: string, env: Env): void {
  if (copied === undefined) return;
  const { stdout } = spawnSync('go', ['list', '-m', '-f', '{{.Dir}}', copied.module], {
    cwd: join(tools, folder),
    env,
    encoding: 'utf8',
  });
  const from = join(stdout.trim(), copied.folder);
  const to = join(cache, basename(copied.folder));
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    copyFileSync(join(from, name), join(half, name));
    renameSync(join(half, name), join(to, name));
  }
}

async function goBuild(
  { folder, version, packages, stamps = [] }: Module,
  names: readonly string[],
  into: string,
  env: Env,
): Promise<void> {
  for (const name of names) {
    const flags = [
      '-trimpath',
      '-ldflags',
      ['-s', '-w', ...stamps.map((stamp) => `-X ${stamp}`)].join(' '),
      '-o',
      join(into, name),
    ];
    const child = spawn('go', ['build', ...flags, packages[name] ?? ''], {
      cwd: join(tools, folder),
      env: { ...env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (code !== 0) throw new Error(`go build of ${name} ${version} ended with code ${code}; its words are above`);
  }
}
