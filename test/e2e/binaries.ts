import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What a control plane is started from. */
export interface Binaries {
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly kubectl: string;
  /** Real kubelet code without a container runtime. */
  readonly kubemark: string;
}

/** The versions that the tests want; `tools/<name>/go.mod` pins everything below them. */
const versions = { kubernetes: '1.37.2', etcd: '3.7.3' };

interface Tool {
  readonly name: string;
  readonly module: 'kubernetes' | 'etcd';
  readonly package: string;
}

const tools: readonly Tool[] = [
  { name: 'etcd', module: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  { name: 'kube-apiserver', module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-apiserver' },
  { name: 'kubectl', module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kubectl' },
  { name: 'kubemark', module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kubemark' },
];

/**
 * Finds the binaries: in KUBEBUILDER_ASSETS where they are of the wanted version, else in a cache outside the clone, where they are
 * built from Go modules if they are missing. Cold, that takes some eight minutes on two cores; then nothing.
 * @throws Error where one must be built and there is no Go.
 */
export function findBinaries(env: Readonly<Record<string, string | undefined>>): Binaries {
  const [etcd = '', kubeApiserver = '', kubectl = '', kubemark = ''] = tools.map((tool) => findTool(tool, env));
  return { etcd, kubeApiserver, kubectl, kubemark };
}

function findTool(tool: Tool, env: Readonly<Record<string, string | undefined>>): string {
  const given = env.KUBEBUILDER_ASSETS === undefined ? undefined : join(env.KUBEBUILDER_ASSETS, tool.name);
  if (given !== undefined && existsSync(given) && isWanted(given, tool)) return given;
  const version = versions[tool.module];
  const cache = join(
    env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
    'osmo-admission-webhook',
    'e2e',
    `${tool.module}-${version}`,
  );
  const built = join(cache, tool.name);
  if (!existsSync(built)) build(tool, built, cache, version);
  return built;
}

function isWanted(path: string, { module }: Tool): boolean {
  const said = spawnSync(path, path.endsWith('kubectl') ? ['version', '--client'] : ['--version'], {
    encoding: 'utf8',
  });
  return `${said.stdout}${said.stderr}`.includes(versions[module]);
}

function build(tool: Tool, target: string, cache: string, version: string): void {
  if (spawnSync('go', ['version']).status !== 0) {
    throw new Error(
      `${tool.name} ${version} is needed: install Go 1.26 or later, so that it can be built, or point KUBEBUILDER_ASSETS at a folder that holds it`,
    );
  }
  process.stderr.write(`building ${tool.name} ${version} from Go modules into ${cache} (once; minutes)\n`);
  mkdirSync(cache, { recursive: true });
  const parts = version.split('.');
  const stamps = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].map(
    (name) => `-X ${name}.gitVersion=v${version} -X ${name}.gitMajor=${parts[0]} -X ${name}.gitMinor=${parts[1]}`,
  );
  const flags = ['-trimpath', '-ldflags', `-s -w ${tool.module === 'kubernetes' ? stamps.join(' ') : ''}`];
  execFileSync('go', ['build', ...flags, '-o', target, tool.package], {
    cwd: join(import.meta.dirname, 'tools', tool.module),
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}
