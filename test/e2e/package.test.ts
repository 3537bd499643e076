import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { createReviewClient } from '../../scripts/review-client.ts';
import { serverName } from '../server/support.ts';
import { osmoPod } from '../support/fixtures.ts';
import { createServeFolder, type ServeFolder } from '../support/serve-process.ts';

/* The npm package as it would be published: packed, installed into an empty folder, run. */

const project = join(import.meta.dirname, '..', '..');
const scratch = mkdtempSync(join(tmpdir(), 'package-'));
const command = join(scratch, 'node_modules', '.bin', 'osmo-admission');
const npm = (args: readonly string[], cwd: string): string =>
  execFileSync('npm', [...args, '--loglevel=error', '--no-audit', '--no-fund'], { cwd, encoding: 'utf8' });

let packed: { readonly filename: string; readonly files: readonly { readonly path: string }[] };
let folder: ServeFolder;
beforeAll(() => {
  npm(['run', '--silent', 'build'], project);
  // npm 11 prints an array, npm 12 an object by package name.
  const told = JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', scratch], project));
  packed = Object.values<typeof packed>(told)[0] ?? { filename: '', files: [] };
  npm(['init', '--yes'], scratch);
  npm(['install', '--prefer-offline', join(scratch, packed.filename)], scratch);
  folder = createServeFolder();
});
afterAll(() => {
  folder.close();
  rmSync(scratch, { recursive: true });
});

describe('the npm package', () => {
  it('holds the built program, its schemas, documentation and licence, and neither sources nor tests', () => {
    const folders = new Set(packed.files.map(({ path }) => path.split('/')[0]));
    expect([...folders].sort()).toEqual([
      ...['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'docs', 'package.json', 'schema'],
    ]);
  });

  it('installs a command that runs on the Node that the package brings', () => {
    const told = execFileSync(command, ['--version'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } });
    expect(told).toBe(`osmo-admission ${manifest.version} (node v${process.versions.node})\n`);
  });

  it('runs the server, which judges over TLS and ends in order', async () => {
    const server = folder.start([...folder.usual(), '--shutdown-delay', '0s'], {}, [command]);
    const { admission } = await server.ports();
    const client = createReviewClient({ port: admission, ca: folder.ca, serverName });
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).status?.code).toBe(403);
    client.close();
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
  });
});
