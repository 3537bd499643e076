import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildRootfs, ownArch } from '../../scripts/image/rootfs.ts';
import { createReviewClient } from '../../scripts/review-client.ts';
import { serverName } from '../server/support.ts';
import { contained } from '../support/contained.ts';
import { osmoPod } from '../support/fixtures.ts';
import { createServeFolder, nodesFile, type ServeFolder } from '../support/serve-process.ts';

/*
 * The image without a registry: its root file system made by the script that the Dockerfile runs, from this machine's C libraries, and
 * the server run in it as a kubelet has it run.
 */

const project = join(import.meta.dirname, '..', '..');
const scratch = mkdtempSync(join(tmpdir(), 'image-'));
const rootfs = join(scratch, 'rootfs');
const inImage = (path: string): string => readFileSync(join(rootfs, path), 'utf8');

let folder: ServeFolder;
beforeAll(() => {
  // A user who is not us must reach what is in it.
  chmodSync(scratch, 0o755);
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: project });
  buildRootfs({ project, out: rootfs, arch: ownArch(), system: '/' });
  folder = createServeFolder();
  copyFileSync(nodesFile, folder.path('nodes.yaml'));
  chmodSync(folder.directory, 0o755);
});
afterAll(() => {
  folder.close();
  rmSync(scratch, { recursive: true });
});

/** Packages as `node_modules/…` paths, as what is there tells, not the lock. */
function installedPackages(): readonly string[] {
  return readdirSync(join(rootfs, 'app/node_modules'), { recursive: true, encoding: 'utf8' })
    .filter((path) => /(^|node_modules\/)(@[^/]+\/)?[^/@]+\/package\.json$/.test(path))
    .map((path) => `node_modules/${path.slice(0, -'/package.json'.length)}`)
    .sort();
}

describe('the root file system of the image', () => {
  it('has the production dependencies of package-lock.json for its platform, and no other', () => {
    const { packages } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
    const expected = Object.keys(packages).filter(
      (path) =>
        path !== '' &&
        packages[path].dev !== true &&
        (packages[path].os ?? ['linux']).includes('linux') &&
        (packages[path].cpu ?? [process.arch]).includes(process.arch),
    );
    expect(installedPackages()).toEqual(expected.sort());
  });

  it('has programs that are Node and the dynamic linker, no shell, and no npm', () => {
    const outside = readdirSync(rootfs, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(rootfs.length))
      .filter((path) => !path.startsWith('/app/'));
    expect(outside.filter((path) => /\/s?bin\//.test(path))).toEqual(['/usr/local/bin/node']);
    expect(existsSync(join(rootfs, 'app/node_modules/.bin'))).toBe(false);
    expect(existsSync(join(rootfs, 'app/node_modules/npm'))).toBe(false);
  });

  it('can be read by any user, written by root alone, and raises nobody’s rights', () => {
    const wrong = readdirSync(rootfs, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isSymbolicLink())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => {
        const mode = statSync(path).mode & 0o7777;
        const needed = statSync(path).isDirectory() ? 0o005 : 0o004;
        return (mode & needed) !== needed || (mode & 0o7022) !== 0;
      });
    expect(wrong).toEqual([]);
  });

  it('bears the licence of everything in it', () => {
    expect(inImage('app/LICENSE')).toContain('Apache License');
    const without = installedPackages().filter(
      (path) => !readdirSync(join(rootfs, 'app', path)).some((name) => /^(un)?licen[cs]e|^copying/i.test(name)),
    );
    expect(without).toEqual([]);
    const packages = readdirSync(join(rootfs, 'var/lib/dpkg/status.d'));
    expect(packages).toContain('libc6');
    for (const name of packages) expect(inImage(`usr/share/doc/${name}/copyright`)).toMatch(/copyright/i);
  });

  it('has a bill of materials that names what is there: packages, Node, and the system’s libraries', () => {
    const { components } = JSON.parse(inImage('app/sbom.cdx.json'));
    const purls: readonly string[] = components.map(({ purl }: { purl: string }) => purl);
    const versions = installedPackages().map((path) => {
      const { name, version } = JSON.parse(inImage(join('app', path, 'package.json')));
      return `pkg:npm/${name.replace('@', '%40')}@${version}`;
    });
    expect(purls.filter((purl) => purl.startsWith('pkg:npm/')).sort()).toEqual([...new Set(versions)].sort());
    expect(purls).toContain(`pkg:generic/node@${process.versions.node}`);
    const system = purls.filter((purl) => purl.startsWith('pkg:deb/'));
    expect(system.length).toBe(readdirSync(join(rootfs, 'var/lib/dpkg/status.d')).length);
  });

  it('runs the server: an unprivileged user, a read-only root, no capability; it judges over TLS and ends in order', async () => {
    const server = folder.start(
      [...folder.usual(), '--nodes', folder.path('nodes.yaml'), '--shutdown-delay', '0s'],
      {},
      contained({ rootfs, mounts: [{ from: folder.directory, to: folder.directory, readOnly: true }] }),
    );
    // As a Secret is mounted.
    chmodSync(folder.path('tls.key'), 0o644);
    const { admission, health } = await server.ports();
    const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    for (const set of ['CapPrm', 'CapEff', 'CapInh', 'CapAmb'])
      expect(status).toMatch(new RegExp(`^${set}:\\t0+$`, 'm'));
    expect(status).toMatch(/^Uid:(\t[1-9]\d*){4}$/m);
    expect(readFileSync(`/proc/${server.pid}/mountinfo`, 'utf8')).toMatch(/^\d+ \d+ \S+ \S+ \/ ro,/m);
    expect((await fetch(`http://127.0.0.1:${health}/readyz`)).status).toBe(200);

    const client = createReviewClient({ port: admission, ca: folder.ca, serverName });
    expect((await client.review('mutate', osmoPod('chart-default-cpu'))).patch).toBeDefined();
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).status?.code).toBe(403);
    client.close();
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stderr()).toContain('"requestsCutOff":0');
  });
});
