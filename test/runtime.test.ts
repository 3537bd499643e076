import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const manifest: { optionalDependencies: Readonly<Record<string, string>> } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);

describe('the runtime', () => {
  it('is Node 26 for the tests themselves', () => {
    expect(process.versions.node.split('.')[0]).toBe('26');
  });

  it('is the version that the project pins, the same on every platform', () => {
    const pinned = Object.entries(manifest.optionalDependencies).filter(([name]) => name.startsWith('node-'));
    expect(pinned.length).toBe(4);
    expect(new Set(pinned.map(([, version]) => version))).toEqual(new Set([process.versions.node]));
  });

  it.each(['version', '--version'])(
    'is the same for the command that npx runs, whatever Node the machine has: %s',
    (name) => {
      const text = execFileSync(join(root, 'bin', 'osmo-admission'), [name], {
        encoding: 'utf8',
        env: { PATH: '/usr/bin:/bin' },
      });
      expect(text).toContain(`node v${process.versions.node}`);
    },
  );
});
