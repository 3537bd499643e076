import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { librariesOf, packagesOf } from './debian.ts';
import { buildSbom } from './sbom.ts';
import { sbomSources } from './sources.ts';

/** What an architecture is called by Docker's TARGETARCH, Node and Debian. */
const architectures = {
  amd64: { cpu: 'x64', debian: { name: 'amd64', triplet: 'x86_64-linux-gnu' } },
  arm64: { cpu: 'arm64', debian: { name: 'arm64', triplet: 'aarch64-linux-gnu' } },
} as const;

export type TargetArch = keyof typeof architectures;

export const isTargetArch = (text: string | undefined): text is TargetArch =>
  text !== undefined && Object.hasOwn(architectures, text);

/** TARGETARCH of the machine that this runs on. */
export function ownArch(): TargetArch {
  return process.arch === 'arm64' ? 'arm64' : 'amd64';
}

export interface RootfsOptions {
  /** The project, with `dist/` built. */
  readonly project: string;
  /** The folder that becomes the image's root. It must not exist. */
  readonly out: string;
  readonly arch: TargetArch;
  /** Root of a Debian system of that architecture, whose C libraries are taken. */
  readonly system: string;
}

/**
 * Makes the image's root file system: Node with the libraries it is linked to, the program, its production dependencies, their
 * licences, and users. No shell and no package manager. The Dockerfile runs this, and so does the test that runs the server in it.
 */
export function buildRootfs({ project, out, arch, system }: RootfsOptions): void {
  const { cpu, debian } = architectures[arch];
  const at = (path: string): string => join(out, path);
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
  };
  mkdirSync(out);
  for (const name of ['package.json', 'package-lock.json', 'LICENSE', 'dist']) {
    cpSync(join(project, name), at(`/app/${name}`), { recursive: true });
  }
  installProduction(at('/app'), cpu);

  const nodePackage = `/app/node_modules/node-linux-${cpu}`;
  const node = `${nodePackage}/bin/node`;
  for (const name of ['include', 'share', 'CHANGELOG.md', 'README.md'])
    rmSync(at(`${nodePackage}/${name}`), { recursive: true });
  mkdirSync(at('/usr/local/bin'), { recursive: true });
  symlinkSync(node, at('/usr/local/bin/node'));

  const libraries = librariesOf(at(node), system, debian);
  for (const { path, from } of libraries) {
    cpSync(join(system, from), at(path));
    chmodSync(at(path), 0o755);
  }
  // As in distroless images: scanners read which packages the libraries come from.
  const packages = packagesOf(libraries, system, debian);
  for (const { name, status, copyright } of packages) {
    put(`/var/lib/dpkg/status.d/${name}`, status);
    put(`/usr/share/doc/${name}/copyright`, copyright);
  }
  cpSync(join(system, 'usr/lib/os-release'), at('/etc/os-release'));

  put('/etc/passwd', 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n');
  put('/etc/group', 'root:x:0:\nnonroot:x:65532:\n');
  put('/etc/nsswitch.conf', 'hosts: files dns\n');
  const sbom = buildSbom({ ...sbomSources(project), platform: { os: 'linux', cpu }, system: packages });
  put('/app/sbom.cdx.json', `${JSON.stringify(sbom, null, 2)}\n`);
}

/** The production dependencies as the lock pins them, for another machine than this one if need be, without what no process reads. */
function installProduction(app: string, cpu: string): void {
  execFileSync(
    'npm',
    [
      ...['ci', '--omit=dev', '--ignore-scripts', '--os=linux', `--cpu=${cpu}`, '--libc=glibc'],
      ...['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'],
    ],
    { cwd: app, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  rmSync(join(app, 'node_modules', '.bin'), { recursive: true });
  for (const entry of readdirSync(app, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && /\.(d\.[cm]?ts|map)$/.test(entry.name)) rmSync(join(entry.parentPath, entry.name));
  }
}
