import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { buildRootfs, ownArch } from '../../scripts/image/rootfs.ts';
import { cacheFolder, type Env } from './binaries.ts';

const project = join(import.meta.dirname, '..', '..');

/** What the image is made from. */
const sources = [
  'src',
  'schema',
  'scripts/image',
  'package.json',
  'package-lock.json',
  'tsconfig.build.json',
  'tsconfig.client.json',
  'tsconfig.json',
];

/** Another clone may use one at this moment. */
const unusedMs = 24 * 3_600_000;

/**
 * The image's root file system, for pods of a test cluster; made once for the same sources and kept beside the programs of the tests. Those that nobody
 * has used for a day are removed.
 * @returns its path.
 */
export function findImage(env: Env): string {
  const parent = cacheFolder(env);
  const name = `image-${digestOfSources()}`;
  const image = join(parent, name);
  if (existsSync(image)) {
    utimesSync(image, new Date(), new Date());
    return image;
  }
  mkdirSync(parent, { recursive: true });
  const half = mkdtempSync(join(parent, '.image-'));
  try {
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] });
    buildRootfs({ project, out: join(half, 'rootfs'), arch: ownArch(), system: '/' });
    // An unprivileged user is to look into it.
    chmodSync(join(half, 'rootfs'), 0o755);
    removeUnused(parent);
    renameSync(join(half, 'rootfs'), image);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
  return image;
}

function removeUnused(parent: string): void {
  for (const name of readdirSync(parent)) {
    const path = join(parent, name);
    if (name.startsWith('image-') && Date.now() - statSync(path).mtimeMs > unusedMs) rmSync(path, { recursive: true });
  }
}

function digestOfSources(): string {
  const hash = createHash('sha256');
  for (const source of sources) {
    const path = join(project, source);
    const files = source.includes('.')
      ? [path]
      : readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name))
          .sort();
    for (const file of files)
      hash.update(file.slice(project.length)).update('\0').update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex').slice(0, 12);
}
